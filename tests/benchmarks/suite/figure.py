"""The picture of a benchmark: figures/benchmark.png. Left the training steps, right what the kernels reach."""

import numpy as np

from minigen import viz

SHORT = {"vae_mlp": "MLP VAE", "dcgan": "DCGAN", "ddpm_stack": "DDPM stack", "nanogpt": "nanoGPT"}
SIZES = ("small", "medium", "large")
BARS = (("minigen", "minigen", "model"), ("torch", "PyTorch eager", "muted"),
        ("torch-tuned", "fused, channels-last", "muted"), ("torch-compiled", "compiled", "muted"))  # fmt: skip


def finding(result):
    """The title: how the training steps compare with PyTorch."""
    ratios = {row["name"]: row["ratio_best"] for row in result["steps"] if row["ratio_best"]}
    eager = [1 / row["ratio_eager"] for row in result["steps"] if row["ratio_eager"]]
    faster = [SHORT[name] for name, ratio in ratios.items() if ratio <= 1]
    times = f"{min(eager):.1f} to {max(eager):.1f} times as fast as PyTorch eager"
    if len(faster) == len(ratios):
        return f"All {len(ratios)} training steps beat PyTorch's best variant, and run {times}"
    others = ", ".join(name for key, name in SHORT.items() if key in ratios and name not in faster)
    return f"{len(faster)} of {len(ratios)} training steps beat PyTorch's best variant (not {others}); they run {times}"


def draw(result, path):
    """Draw a full run's figures and save them; returns the Picture."""
    picture, (left, right) = viz.figure(
        finding(result), 1, 2, width=9.0, height=6.6, gridspec_kw={"width_ratios": [1.15, 1]}
    )
    with viz.style():
        _steps(left, [row for row in result["steps"] if row["ratio_eager"]])
        _kernels(right, [row for row in result["kernels"] if row.get("ratio_best")])
    return viz.save(picture, path)


def _steps(axes, rows):
    """Bars: time relative to PyTorch eager, with the quartiles as whiskers, and milliseconds beside."""
    longest = 1.0
    for group, row in enumerate(rows):
        engines = [bar for bar in BARS if bar[0] in row["engines"]]
        for place, (engine, label, tint) in enumerate(engines):
            ms, low, high = (row["engines"][engine][key] / row["torch_ms"] for key in ("ms", "low", "high"))
            y = -group - 0.2 * place
            axes.barh(y, ms, 0.17, color=viz.colour(tint))
            axes.plot([low, high], [y, y], color="#262626", linewidth=1.2)
            strong = "bold" if engine == "minigen" else "normal"
            axes.text(max(ms, high) + 0.02, y, f"{label} {row['engines'][engine]['ms']:.1f} ms", va="center",
                      fontsize=9, fontweight=strong)  # fmt: skip
            longest = max(longest, ms, high)
    axes.set_xlim(0, longest * 1.7)
    axes.set_xticks(np.arange(0, longest + 0.01, 0.25))
    axes.set_yticks([-group - 0.3 for group in range(len(rows))], [SHORT[row["name"]] for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="time, PyTorch eager = 1")
    axes.set_title("Whole training steps", loc="left")


def _kernels(axes, rows):
    """Dots: time relative to the best of PyTorch, one line per kernel, a dot per size."""
    worst = {}
    for row in rows:
        worst[row["kernel"]] = max(worst.get(row["kernel"], 0), row["ratio_best"])
    order = sorted(worst, key=worst.get)
    tints = dict(zip(SIZES, (viz.colour("encoder"), viz.colour("decoder"), viz.colour("model")), strict=True))
    for size in SIZES:
        chosen = [row for row in rows if row["size"] == size]
        axes.plot([row["ratio_best"] for row in chosen], [order.index(row["kernel"]) for row in chosen], "o",
                  color=tints[size], markersize=5, label=size)  # fmt: skip
    axes.axvline(1, color="#262626", linewidth=1)
    axes.set_yticks(range(len(order)), [name.replace("_", " ") for name in order], fontsize=9)
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set(xscale="log", xlabel="time, best of PyTorch = 1")
    low, high = axes.get_xlim()
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_title("Single kernels", loc="left")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)
