import itertools
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from minigen import viz
from minigen.viz.pictures import _luminance

NAMES = ("data", "discriminator", "model", "decoder", "encoder", "muted")

# Machado, Oliveira & Fernandes 2009: what people without one kind of cone see, on linear RGB.
SIGHT = {
    "full": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(name, sight):
    """CIE L*a*b* of a palette colour as seen with a kind of sight."""
    rgb = np.array(to_rgb(viz.PALETTE[name]))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                    [0.0193339, 0.1191920, 0.9503041]]) @ np.clip(np.array(SIGHT[sight]) @ linear, 0, 1)  # fmt: skip
    f = [t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz / [0.95047, 1, 1.08883]]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_can_be_told_apart_with_every_kind_of_sight(sight):
    for a, b in itertools.combinations(NAMES, 2):
        assert np.linalg.norm(lab(a, sight) - lab(b, sight)) > 18, (a, b)


def test_colours_can_be_told_apart_in_grey():
    lightness = sorted(lab(name, "full")[0] for name in NAMES)
    assert np.diff(lightness).min() > 8


def test_labels_stay_readable_on_white():
    for name in viz.PALETTE:
        assert 1.05 / (_luminance(np.array(viz.readable(viz.PALETTE[name]))) + 0.05) >= 3


def test_a_picture_shows_itself_in_a_notebook():
    picture, _ = viz.figure("A finding")
    assert picture._repr_png_()[:4] == b"\x89PNG"


def test_a_long_title_stays_inside_the_figure():
    picture, _ = viz.figure("A finding that takes many words, " * 4)
    picture.draw_without_rendering()
    box = picture._suptitle.get_window_extent()
    assert box.x1 <= picture.bbox.width and "\n" in picture._suptitle.get_text()


def test_the_style_does_not_leak_into_matplotlib():
    import matplotlib

    before = dict(matplotlib.rcParams)
    viz.curves({"a": [1, 2]}, "t", xlabel="x", ylabel="y")
    assert dict(matplotlib.rcParams) == before


def test_names_and_plain_colours_are_both_understood():
    assert viz.colour("model") == viz.PALETTE["model"] and viz.colour("#123456") == "#123456"
    assert viz.PALETTE["prior"] == viz.PALETTE["decoder"]


def test_pyplot_is_never_imported():
    code = ("import sys; from minigen import viz; viz.curves({'a': [1, 2]}, 't', xlabel='x', ylabel='y')._repr_png_(); "
            "sys.exit('matplotlib.pyplot' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_blend_runs_evenly_through_its_colours():
    white, black = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    assert viz.blend(["white", "black"], 3) == [white, (0.5, 0.5, 0.5), black]
    assert viz.blend(["model", "white"], 2) == [to_rgb(viz.PALETTE["model"]), white]
