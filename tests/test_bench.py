"""The benchmark itself is tested: its arithmetic, its harness, its proof that all engines compute the same."""

import json
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from minigen import cli
from minigen.errors import CommandError

BENCHMARKS = Path(__file__).parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import publish  # noqa: E402
from suite import (  # noqa: E402
    figure,
    harness,
    kernel_cases,
    kernels,
    kernels_minigen,
    machine,
    report,
    scaling,
    sizes,
    steps,
    steps_minigen,
    worker,
)

TINY = {
    "vae_mlp": {"batch": 4, "pixels": 12, "hidden": 8, "latent": 3},
    "dcgan": {"batch": 3, "width": 4, "latent": 5},
    "ddpm_stack": {"batch": 2, "size": 8, "width": 8},
    "nanogpt": {"batch": 2, "length": 8, "width": 16, "heads": 2, "layers": 2, "vocab": 11},
}
ROOFLINE = {"gflops": 100.0, "bandwidth": {"L2": 200.0, "L3": 100.0, "memory": 10.0},
            "sizes": {"L2": 2**20, "L3": 2**24, "memory": 2**28}}  # fmt: skip


# -- arithmetic -------------------------------------------------------------------------------------------------------


def test_statistics_are_median_and_quartiles_in_milliseconds():
    stats = harness.Stats.of([0.001 * i for i in range(1, 100)])
    assert (stats.ms, stats.low, stats.high, stats.best, stats.n) == (50, 25, 75, 1, 99)
    assert harness.Stats.of([0.002]) == harness.Stats(2, 2, 2, 2, 1)


def test_the_exponent_of_a_power_law_is_found():
    values = np.array([1, 2, 4, 8])
    assert scaling.exponent(values, 3.0 * values**1.5) == 1.5


def test_the_roofline_takes_the_slower_of_arithmetic_and_memory():
    assert machine.share(ROOFLINE, ms=1.0, flops=50e6) == 0.5
    assert machine.share(ROOFLINE, ms=1.0, traffic=1e6) == 0.005  # fits the second level: 200 GB/s
    assert machine.share(ROOFLINE, ms=100.0, traffic=2**28) == pytest.approx(0.268, abs=1e-3)  # does not fit: 10 GB/s
    assert machine.share(ROOFLINE, ms=1.0, flops=50e6, traffic=1e5) == 0.5


def test_a_triad_moves_the_bytes_that_are_counted():
    n = 1200
    assert machine.triad_bytes(12 * n) == 12 * n * (2_000_000 // n)


@pytest.mark.parametrize("name", sizes.SIZES)
def test_the_operations_of_a_step_are_those_that_torch_counts(name, tmp_path):
    pytest.importorskip("torch")
    from suite import steps_torch
    from torch.utils.flop_counter import FlopCounterMode

    size = TINY[name]
    steps_minigen.build(name, size, tmp_path)
    step = steps_torch.build(name, size, tmp_path)
    with FlopCounterMode(display=False) as counter:
        step()
    attention = 0
    if name == "nanogpt":  # PyTorch's counter passes over attention on the CPU: half of T² scores, twice, three passes
        attention = 3 * 2 * size["batch"] * size["layers"] * size["length"] ** 2 * size["width"]
    assert counter.get_total_flops() == sizes.flops(name, size) - attention


# -- the proof --------------------------------------------------------------------------------------------------------


def losses(module, name, folder, count=6, **settings):
    step = module.build(name, TINY[name], folder, **settings)
    return [step(*sizes.noise(name, TINY[name], i)) for i in range(count)]


@pytest.mark.parametrize("name", sizes.SIZES)
@pytest.mark.parametrize("variant", ["eager", "tuned"])
def test_minigen_and_torch_show_the_same_losses(name, variant, tmp_path):
    pytest.importorskip("torch")
    from suite import steps_torch

    ours = losses(steps_minigen, name, tmp_path)
    theirs = losses(steps_torch, name, tmp_path, variant=variant)
    assert steps.prove(name, {"minigen": ours, "torch": theirs})["torch"] <= steps.allowed(name, 5)
    assert ours[0] != ours[-1]


@pytest.mark.parametrize("name", ["vae_mlp", "nanogpt"])
def test_hips_autograd_shows_the_same_losses(name, tmp_path):
    pytest.importorskip("autograd")
    from suite import steps_functional

    ours = losses(steps_minigen, name, tmp_path)
    hips = types.SimpleNamespace(build=steps_functional.build_hips)
    steps.prove(name, {"minigen": ours, "autograd": losses(hips, name, tmp_path)})


@pytest.mark.parametrize("name", sizes.SIZES)
def test_jax_shows_the_same_losses(name, tmp_path):
    pytest.importorskip("jax")
    from suite import steps_functional

    ours = losses(steps_minigen, name, tmp_path)
    jax = types.SimpleNamespace(build=steps_functional.build_jax)
    steps.prove(name, {"minigen": ours, "jax": losses(jax, name, tmp_path)})


@pytest.mark.parametrize("name", sizes.SIZES)
def test_no_ratio_is_reported_for_another_computation(name, tmp_path, monkeypatch):
    from minigen import optim

    right = losses(steps_minigen, name, tmp_path, count=20)
    for kind in ("Adam", "AdamW"):  # a learning rate that is wrong by 1 %
        made = getattr(optim, kind)
        monkeypatch.setattr(optim, kind, lambda params, lr, *more, made=made, **settings:
                            made(params, 1.01 * lr, *more, **settings))  # fmt: skip
    wrong = losses(steps_minigen, name, tmp_path, count=20)
    assert steps.prove(name, {"minigen": right, "torch": right})["torch"] == 0
    with pytest.raises(harness.BenchError, match=f"{name}: minigen and torch do not compute the same"):
        steps.prove(name, {"minigen": right, "torch": wrong})


def test_a_loss_that_is_no_number_agrees_with_nothing():
    assert steps.gap([[1.0], [float("nan")]], [[1.0], [float("nan")]]) == float("inf")


def test_ratios_are_ours_over_theirs_and_best_is_the_fastest_of_torch():
    found = steps.ratios({"minigen": 6.0, "torch": 12.0, "torch-tuned": 8.0, "jax": 3.0})
    assert (found["torch_ms"], found["ratio_eager"], found["ratio_best"]) == (12.0, 0.5, 0.75)
    assert found["ratios"] == {"torch": 0.5, "torch-tuned": 0.75, "jax": 2.0}
    assert steps.ratios({"minigen": 6.0})["ratio_best"] is None


# -- the harness ------------------------------------------------------------------------------------------------------


def test_blocks_take_turns_and_the_order_is_reversed_every_round(tmp_path):
    calls = []
    workers = harness.Workers((), tmp_path)
    for engine in "ab":
        workers[engine] = lambda do, engine=engine, **request: calls.append(engine) or [0.01] * request["repeats"]
    workers.time("x", ["a", "b"], budget=0.04, rounds=4)
    assert "".join(calls) == "aabb" + "abba" * 2


def test_a_worker_builds_times_and_forgets(tmp_path):
    with harness.Workers(("numpy",), tmp_path) as workers:
        able, unable = workers.build("chain", kind="chain", name="chain")
        assert (able, unable) == (["numpy"], {})
        seconds = workers["numpy"]("time", key="chain", repeats=5, warm=1)
        now, most = workers["numpy"]("memory")
        workers.drop("chain")
        with pytest.raises(harness.BenchError, match="KeyError"):
            workers["numpy"]("time", key="chain", repeats=5, warm=1)
    assert len(seconds) == 5 and all(0 < s < 1 for s in seconds)
    assert 10 < now <= most < 4000


def test_what_an_engine_cannot_do_is_a_reason_and_not_an_error(tmp_path):
    pytest.importorskip("autograd")
    with harness.Workers(("autograd",), tmp_path) as workers:
        able, unable = workers.build("step", kind="step", name="dcgan", size={})
    assert able == [] and unable == {"autograd": "HIPS autograd has no fast convolution"}


def test_an_engine_that_is_not_installed_is_skipped_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(harness.Worker, "__init__", _refuse)
    with harness.Workers(("jax",), tmp_path) as workers:
        assert dict(workers) == {} and workers.build("step", kind="step", name="dcgan")[1] == workers.unable
    assert "No module named" in workers.unable["jax"]


def _refuse(self, *arguments, **settings):
    raise harness.Unable("ModuleNotFoundError: No module named 'jax'")


def test_the_callers_thread_settings_do_not_reach_one_engine_only(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert "OMP_NUM_THREADS" not in harness.environment()
    assert harness.environment(threads=1)["OMP_NUM_THREADS"] == "1"


# -- kernels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", kernel_cases.CASES)
def test_every_kernel_can_be_made_for_every_engine(name):
    case = kernel_cases.CASES[name]
    assert list(case.sizes) == ["small", "medium", "large"]
    small, _, large = (sum(case.work(label)) for label in case.sizes)
    assert small < large
    worker.build("minigen", "kernel", name, "small", None)()
    pytest.importorskip("torch")
    worker.build("torch", "kernel", name, "small", None)()
    worker.build("torch-tuned", "kernel", name, "small", None)()


@pytest.mark.parametrize("name", ["gemm", "convolution_forward", "convolution_input", "convolution_weight", "exp"])
def test_kernels_that_return_something_return_the_same_as_torchs(name, monkeypatch):
    pytest.importorskip("torch")
    from suite import kernels_torch

    monkeypatch.setattr(kernels_torch, "_without_recording", lambda function: function)
    monkeypatch.setattr(kernels_minigen, "_image", _same_numbers)
    monkeypatch.setattr(kernels_torch, "_image", lambda _, *shape: kernels_torch._numbers(*shape))
    monkeypatch.setattr(kernels_minigen, "_numbers", _same_numbers)
    monkeypatch.setattr(kernels_torch, "_numbers", lambda *shape: kernels_torch.torch.from_numpy(_same_numbers(*shape)))
    shapes = {"gemm": (9, 17, 5), "exp": (33,)}.get(name, (2, 3, 8, 5, 3, 1, 1))
    case = kernel_cases.CASES[name]
    ours = getattr(kernels_minigen, f"make_{case.maker}")(name, shapes)()
    theirs = getattr(kernels_torch, f"make_{case.maker}")(name, shapes, images_last=False)()
    if isinstance(theirs, tuple):
        (theirs,) = (part for part in theirs if part is not None)
    assert np.allclose(getattr(ours, "data", ours), theirs.numpy(), atol=1e-4)


def _same_numbers(*shape):
    return np.sin(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)


def test_a_broken_kernel_does_not_cost_the_other_figures(tmp_path, monkeypatch):
    def broken(self, key, engines=None, **request):
        if request["size"] == "small":
            raise harness.BenchError("minigen: build: KeyError")
        raise harness.Unable("not on Tuesdays")

    monkeypatch.setattr(harness.Workers, "build", broken)
    said = []
    rows = kernels.measure(["exp"], tmp_path, ROOFLINE, (), quick=True, say=said.append)
    assert [row.get("error") or row["skipped"] for row in rows] == ["minigen: build: KeyError", "not on Tuesdays"]
    assert said == ["exp_small: minigen: build: KeyError", "exp_medium: not on Tuesdays"]


# -- the report -------------------------------------------------------------------------------------------------------

STEP_KEYS = {"name", "ms", "torch_ms", "ratio_eager", "ratio_best", "roofline_share", "peak_mb", "torch_peak_mb",
             "arrays_mb", "torch_arrays_mb"}  # fmt: skip


def test_a_measured_step_has_all_figures(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(sizes, "SIZES", sizes.SIZES | {"vae_mlp": TINY["vae_mlp"]})
    monkeypatch.setattr(steps, "SIZES", sizes.SIZES)
    said = []
    row = report._step("vae_mlp", tmp_path, ROOFLINE, ("torch",), ("torch",), 0.02, said.append)
    assert STEP_KEYS <= set(row) and row["name"] == "vae_mlp"
    assert all(type(row[key]) is float and row[key] > 0 for key in STEP_KEYS - {"name", "roofline_share"})
    assert row["ratio_eager"] == pytest.approx(row["ms"] / row["torch_ms"], abs=1e-3)
    assert row["torch_peak_mb"] > row["torch_step_mb"]
    assert "same losses for 20 steps" in said[0]


def test_the_json_has_its_parts_even_if_a_proof_fails(tmp_path, monkeypatch, capsys):
    def parting(name, folder, **settings):
        raise harness.BenchError(f"{name}: minigen and torch do not compute the same")

    monkeypatch.setattr(machine, "measure", lambda *arguments: ROOFLINE)
    monkeypatch.setattr(steps, "measure", parting)
    with pytest.raises(harness.BenchError, match="1 of the measurements failed; the first: dcgan: minigen and torch"):
        report.main(True, "dcgan", tmp_path / "b.json", torch=True)
    found = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert {"machine", "versions", "roofline", "steps", "kernels", "seconds"} <= set(found)
    (row,) = found["steps"]
    assert (row["name"], row["ms"], row["ratio_eager"], row["ratio_best"]) == ("dcgan", None, None, None)
    assert "do not compute the same" in capsys.readouterr().out


def made_up():
    """A result as a full run would leave it."""
    engines = {"minigen": 6.0, "torch": 12.0, "torch-tuned": 9.0, "torch-compiled": 8.0, "jax": 24.0}
    rows = [
        {"name": name, "title": sizes.TITLES[name], **steps.ratios(engines), "ms": 6.0, "roofline_share": 0.41,
         "peak_mb": 150.0, "torch_peak_mb": 320.0, "arrays_mb": 26.04, "torch_arrays_mb": 27.0,
         "engines": {e: {"ms": ms, "low": ms * 0.9, "high": ms * 1.1} for e, ms in engines.items()}}
        for name in sizes.SIZES
    ]  # fmt: skip
    single = [
        {"name": f"{name}_{size}", "kernel": name, "size": size, "ms": 1.0, "ratio_best": ratio}
        for name, first in (("gemm", 0.5), ("exp", 1.1))
        for size, ratio in zip(figure.SIZES, (first, 0.9, 1.3), strict=True)
    ]  # fmt: skip
    return {"steps": rows, "kernels": single, "machine": {"cpu": "a processor", "cores": 2}, "quick": False,
            "roofline": ROOFLINE, "versions": {"python": "3.11", "numpy": "2.0", "jax": None}}  # fmt: skip


def test_the_table_says_times_ratios_memory_machine_and_versions():
    text = publish.table(made_up())
    row = next(line for line in text.splitlines() if line.startswith("| DCGAN"))
    assert "**6.0 ms** (5.4 … 6.6)" in row and "12.0 ms (×0.50)" in row and "8.0 ms (×0.75)" in row
    assert "24.0 ms (×0.25) | – | 41% | 150 (26.0) : 320 (27.0)" in row
    assert "Of 6 single kernels (three sizes each), 3 are at least as fast" in text
    assert "`gemm_large` ×1.30, `exp_large` ×1.30." in text and "At the small size" not in text
    result = made_up()
    result["kernels"][0] |= {"ratio_best": 1.4, "ms": 0.123}
    assert "`gemm_small` ×1.40" in publish.table(result) and "that is at most 0.12 ms" in publish.table(result)
    assert "2 cores of a processor; Python 3.11, NumPy 2.0." in text and "JAX None" not in text


def test_the_figure_is_drawn_and_its_title_is_the_finding(tmp_path):
    result = made_up()
    picture = figure.draw(result, tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    title = picture.get_suptitle().replace("\n", " ")
    assert title.startswith("All 4 training steps beat PyTorch's best variant, and run 2.0 to 2.0 times as fast")
    result["steps"][1]["ratio_best"] = 1.3
    assert figure.finding(result).startswith("3 of 4 training steps beat PyTorch's best variant (not DCGAN)")


def test_the_readme_shows_the_measured_table():
    result = json.loads(publish.RESULTS.read_text(encoding="utf-8"))
    assert not result["quick"] and [row["name"] for row in result["steps"]] == list(sizes.SIZES)
    assert publish.table(result) in publish.README.read_text(encoding="utf-8"), (
        "run `python tests/benchmarks/publish.py --table`"
    )


# -- the command ------------------------------------------------------------------------------------------------------


def test_a_wrong_name_lists_all_names(capsys):
    assert cli.main(["bench", "--only", "vae"]) == 2
    message = capsys.readouterr().err
    assert "bench: --only vae: expected one of steps, " in message
    assert all(name in message for name in (*sizes.SIZES, *kernel_cases.CASES))


def test_a_file_that_cannot_be_written_is_noticed_before_the_measuring(capsys, tmp_path):
    assert cli.main(["bench", "--json", str(tmp_path / "no" / "b.json")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_without_a_checkout_the_command_says_where_the_benchmark_is(tmp_path, monkeypatch, capsys):
    installed = tmp_path / "site-packages" / "minigen"
    installed.mkdir(parents=True)
    shutil.copyfile(cli.__file__, installed / "cli.py")
    monkeypatch.setattr(cli, "__file__", str(installed / "cli.py"))
    assert cli.main(["bench"]) == 2
    assert "clone the repository" in capsys.readouterr().err
    with pytest.raises(CommandError):
        cli.main(["bench", "--debug"])
