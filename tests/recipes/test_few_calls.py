"""Quality over calls: figures are those of what is drawn, files are added to, the title says what was found."""

import json

import numpy as np
import pytest

from minigen import recipes
from minigen.data import digits
from minigen.metrics.classification import accuracy
from minigen.recipes import asked, few_calls


class Copyist(asked.Experiment):
    """Copies training digits; with c calls a share 1/c of the ink is noise."""

    high, side, classes, reader, seed = 16, digits.SIDE, digits.CLASSES, "digits", 0
    ways = {"copying": (1, 4, 100)}

    def __init__(self):
        splits = digits.splits()
        self.train, self.held_out = splits.train, splits.test

    def drawn_along(self, way, calls, labels, rng):
        images, classes = self.train
        drawn = np.stack([images[rng.choice(np.flatnonzero(classes == label))] for label in labels]).reshape(-1, 8, 8)
        return (1 - 1 / calls) * drawn + rng.uniform(0, 16, drawn.shape) / calls


def test_each_way_is_measured_at_each_number_of_calls():
    lines = []
    table, floor = few_calls.measured(Copyist(), 60, say=lines.append)
    found = table["copying"]
    assert list(found) == ["1", "4", "100"] and len(lines) == 3 and floor["read"] > 0.95
    assert found["1"]["frechet"] > found["4"]["frechet"] > found["100"]["frechet"]
    labels = np.arange(60) % 10
    drawn = Copyist().drawn_along("copying", 4, labels, np.random.default_rng([0, 4]))
    assert found["4"]["read"] == accuracy(labels, Copyist().read(drawn))


def test_the_title_says_who_needs_fewest_calls():
    def content(**ways):
        return {"ways": {way: {str(calls): {"frechet": x} for calls, x in row.items()} for way, row in ways.items()}}

    bar = {5: 1.7, 20: 1.1}
    assert few_calls.finding(content(DDIM=bar, a={4: 1.0, 2: 1.1}, b={4: 0.9})) == (
        "As good as DDIM with 20 calls, with 2: a")
    assert few_calls.finding(content(DDIM=bar, a={4: 1.19}, b={4: 1.15})) == (
        "As good as DDIM with 20 calls, with 4: b")  # both but for chance
    assert few_calls.finding(content(DDIM=bar, a={4: 1.21})) == "No way with fewer calls is as good as DDIM with 20"
    assert few_calls.finding(content(a={4: 1.2})) == "Fewer and fewer calls"


def test_runs_are_added_to_the_file_and_drawn(tmp_path, monkeypatch):
    class Slower(Copyist):
        ways = {"slowly": (4,)}

    made = {"one": Copyist(), "two": Slower()}
    monkeypatch.setattr(few_calls, "_of_letters", lambda run: made[run.name])
    monkeypatch.setattr(few_calls, "PICTURES", 60)
    for name in made:
        few_calls.main([str(tmp_path / name), "--to", str(tmp_path / "found.json")])
    content = json.loads((tmp_path / "found.json").read_text())
    assert {way: list(row) for way, row in content["ways"].items()} == {"copying": ["1", "4", "100"], "slowly": ["4"]}
    assert content["pictures"] == 60 and content["floor"]["frechet"] > 0
    assert content["ways"]["slowly"]["4"] == pytest.approx(content["ways"]["copying"]["4"])
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


def test_other_runs_and_files_are_refused_in_one_line(tmp_path, capsys):
    def refused(*arguments):
        with pytest.raises(SystemExit) as stopped:
            few_calls.main([*map(str, arguments), "--to", str(tmp_path / "found.json")])
        assert stopped.value.code == 2 and not (tmp_path / "found.png").exists()
        return capsys.readouterr().err.splitlines()[-1]

    assert "is not there yet; expected a RUN" in refused()
    assert "holds no run" in refused(tmp_path / "nothing")
    for name, quick in (("diffusion-glyphs", True), ("vae-digits", True)):
        recipes.run(name, quick=quick, steps=2, out=tmp_path / name, progress=False, say=lambda line: None)
        assert "is unfinished or was cut short" in refused(tmp_path / name)
    for path in (tmp_path / "vae-digits" / "config.json", tmp_path / "vae-digits" / "result.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"quick": False, "steps": None}))
    assert "is a run of vae-digits; expected one of letters" in refused(tmp_path / "vae-digits")
    (tmp_path / "found.json").write_text("{")
    assert "found.json: cannot be read" in refused()
