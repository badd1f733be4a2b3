"""The loop: what it reports, when it stops, what it keeps."""

import io
import json
import math
import signal
import sys

import numpy as np
import pytest

from minigen import nn
from minigen.autograd import Tensor
from minigen.errors import CheckpointError, TrainingError
from minigen.kernels.threads import get_num_threads
from minigen.train import Checkpoints, Counter, fit, load, read_metrics
from minigen.train.progress import bar


class Walk(nn.Module):
    """A "model" whose weight counts the steps, so that any state can be recognised."""

    def __init__(self):
        self.weight = nn.parameter(np.zeros(2))

    def step(self):
        self.weight.overwrite(self.weight.data + 1)
        return {"loss": float(self.weight.data[0]), "other": 0.5}


def train(walk, steps, step=None, **settings):
    return list(fit(step or walk.step, steps, state={"model": walk}, **{"progress": False, **settings}))


def test_a_report_for_every_step():
    reports = train(Walk(), 3)
    assert [(report.step, report.metrics) for report in reports] == [
        (step, {"loss": float(step), "other": 0.5}) for step in (1, 2, 3)
    ]
    assert 0 < reports[0].seconds < reports[1].seconds < reports[2].seconds


def test_a_step_may_return_a_bare_number():
    (report,) = train(Walk(), 1, step=lambda: np.float32(2.5))
    assert report.metrics == {"loss": 2.5}
    assert type(report.metrics["loss"]) is float


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(Walk(), 3)
    assert not any(tmp_path.iterdir())


def test_the_log_has_one_line_per_step(tmp_path):
    train(Walk(), 5, folder=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert set(lines[0]) == {"step", "loss", "other", "seconds"}
    assert read_metrics(tmp_path)["loss"] == [(step, float(step)) for step in range(1, 6)]


def test_a_metric_other_than_the_loss_may_be_infinite_and_is_null_in_the_log(tmp_path):
    train(Walk(), 1, step=lambda: {"loss": 1.0, "ratio": math.inf}, folder=tmp_path)
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["ratio"] is None


def test_resuming_drops_the_lines_after_the_checkpoint(tmp_path):
    walk = Walk()
    for report in fit(walk.step, 10, state={"model": walk}, folder=tmp_path, checkpoint_every=4, progress=False):
        if report.step == 6:
            break
    log = tmp_path / "metrics.jsonl"
    log.write_text(log.read_text() + '{"step": 7, "loss": 9}\n{"step": 8, "lo')  # as a killed process leaves it
    again = Walk()
    reports = train(again, 10, folder=tmp_path, checkpoint_every=4, resume=True)
    assert [report.step for report in reports] == [7, 8, 9, 10]
    assert [step for step, _ in read_metrics(tmp_path)["loss"]] == list(range(1, 11))
    assert again.weight.data[0] == 10


def test_seconds_go_on_after_resuming(tmp_path):
    walk = Walk()
    reports = fit(walk.step, 4, state={"model": walk}, folder=tmp_path, progress=False)
    first = next(reports)
    reports.close()
    (second, *_) = train(Walk(), 4, folder=tmp_path, resume=True)
    assert second.step == 2 and second.seconds > first.seconds


# -- checkpoints and settings ------------------------------------------------------------------------------------------


def test_leaving_the_loop_saves(tmp_path):
    walk = Walk()
    for report in fit(walk.step, 100, state={"model": walk}, folder=tmp_path, progress=False):
        if report.step == 3:
            break
    tree = Checkpoints(tmp_path / "checkpoints").read_newest()
    assert tree["step"] == 3 and tree["state"]["model"]["state_dict"]["weight"][0] == 3


def test_what_the_loop_body_does_belongs_to_its_step(tmp_path):
    walk, rng = Walk(), np.random.default_rng(0)
    state = {"model": walk, "rng": rng}
    drawn = [rng.random() for _ in fit(walk.step, 4, state=state, folder=tmp_path / "a", progress=False)]
    walk, rng = Walk(), np.random.default_rng(0)
    first = []
    for _ in fit(walk.step, 4, state={"model": walk, "rng": rng}, folder=tmp_path / "b", progress=False):
        first.append(rng.random())
        if len(first) == 2:
            break
    walk, rng = Walk(), np.random.default_rng(5)
    state = {"model": walk, "rng": rng}
    second = [rng.random() for _ in fit(walk.step, 4, state=state, folder=tmp_path / "b", resume=True, progress=False)]
    assert first + second == drawn


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    train(Walk(), 2, folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"earlier run \(step 2\)"):
        train(Walk(), 2, folder=tmp_path)


def test_resuming_an_empty_folder_starts_at_the_beginning(tmp_path):
    assert [report.step for report in train(Walk(), 2, folder=tmp_path, resume=True)] == [1, 2]


def test_resuming_a_finished_run_does_nothing(tmp_path):
    train(Walk(), 3, folder=tmp_path)
    walk = Walk()
    assert train(walk, 3, folder=tmp_path, resume=True) == []
    assert walk.weight.data[0] == 3


def test_other_settings_are_refused_one_by_one(tmp_path):
    train(Walk(), 3, folder=tmp_path, settings={"seed": 0, "recipe": "a"})
    with pytest.raises(CheckpointError, match="seed: then 0, now 1; steps: then 3, now 4$"):
        train(Walk(), 4, folder=tmp_path, settings={"seed": 1, "recipe": "a"}, resume=True)


def test_another_state_is_refused(tmp_path):
    train(Walk(), 3, folder=tmp_path)
    walk = Walk()
    state = {"model": walk, "rng": np.random.default_rng(0)}
    with pytest.raises(CheckpointError, match=r"missing \['rng'\]"):
        fit(walk.step, 3, state=state, folder=tmp_path, resume=True)
    walk.weight = nn.parameter(np.zeros(3))
    with pytest.raises(CheckpointError, match="misshapen: weight"):
        fit(walk.step, 3, state={"model": walk}, folder=tmp_path, resume=True)


def test_a_file_that_fit_did_not_write_is_refused(tmp_path):
    Checkpoints(tmp_path / "checkpoints").write(3, {"step": 3})
    with pytest.raises(CheckpointError, match="not written by fit"):
        train(Walk(), 3, folder=tmp_path, resume=True)


def test_state_that_cannot_be_saved_is_refused_at_the_call():
    with pytest.raises(TrainingError, match=r"state\['lr'\] is a float"):
        fit(lambda: 0.0, 3, state={"lr": 0.1})


def test_generators_inside_layers_and_modes_are_part_of_the_state(tmp_path):
    def model():
        first, second = np.random.default_rng(0), np.random.default_rng(1)
        return nn.Sequential(nn.Linear(2, 2, rng=first), nn.Dropout(0.5, rng=second))

    net, x = model(), Tensor(np.ones((4, 2), np.float32))

    def step():
        net[0].eval()
        return net(x).sum().item()

    list(fit(step, 5, state={"model": net}, folder=tmp_path, progress=False))
    again = model()
    assert list(fit(step, 5, state={"model": again}, folder=tmp_path, resume=True, progress=False)) == []
    assert [module.training for module in again.modules()] == [True, False, True]
    drawn = net[1].rng.random()
    assert again[1].rng.random() == drawn != np.random.default_rng(1).random()


def test_a_counter_counts_and_comes_back():
    counter, other = Counter(), Counter()
    assert [counter.advance() for _ in range(3)] == [0, 1, 2]
    other.restore(counter.state())
    assert other.advance() == 3


# -- validation and early stopping -------------------------------------------------------------------------------------


def validated(walk, losses, **settings):
    """Train with a validation that goes through `losses`, one per step."""
    values = iter(losses)
    return train(walk, len(losses), validate=lambda: next(values), validate_every=1, **settings)


def test_the_best_state_is_put_back_at_the_end():
    walk = Walk()
    reports = validated(walk, [5, 3, 4, 3, 6])
    assert [report.metrics["validation"] for report in reports] == [5, 3, 4, 3, 6]
    assert walk.weight.data[0] == 2  # the first of two equal bests


def test_training_stops_when_patience_is_exhausted():
    walk = Walk()
    assert len(validated(walk, [5, 4, 4.5, 4.2, 3, 9, 9, 9, 0], patience=3)) == 8
    assert walk.weight.data[0] == 5


def test_validation_comes_at_its_steps_and_at_the_last():
    asked = []
    walk = Walk()
    train(walk, 7, validate=lambda: asked.append(walk.weight.data[0]) or 1.0, validate_every=3)
    assert asked == [3, 6, 7]


def test_early_stopping_survives_a_stop_at_every_step(tmp_path):
    losses = [5, 4, 4.5, 4.2, 3, 9, 9, 9, 0]
    for stop in range(1, 8):
        folder = tmp_path / str(stop)
        walk = Walk()
        setting = {"state": {"model": walk}, "folder": folder, "validate_every": 1, "patience": 3, "progress": False}
        for report in fit(walk.step, 9, validate=lambda walk=walk: losses[int(walk.weight.data[0]) - 1], **setting):
            if report.step == stop:
                break
        walk = setting["state"]["model"] = Walk()
        rest = list(fit(walk.step, 9, validate=lambda walk=walk: losses[int(walk.weight.data[0]) - 1], resume=True,
                        **setting))
        assert stop + len(rest) == 8
        assert walk.weight.data[0] == 5


def test_only_the_chosen_entries_go_back_to_the_best():
    walk, other = Walk(), Walk()
    values = iter([2, 1, 3])

    def step():
        other.step()
        return walk.step()

    list(fit(step, 3, state={"a": walk, "b": other}, validate=lambda: next(values), validate_every=1, keep_best=["b"],
             progress=False))
    assert (walk.weight.data[0], other.weight.data[0]) == (3, 2)


def test_the_best_is_a_copy_even_if_a_state_dict_hands_out_its_own_arrays():
    class Careless(Walk):
        def state_dict(self):
            return {"weight": self.weight._data}

    walk = Careless()
    validated(walk, [5, 3, 4])
    assert walk.weight.data[0] == 2


@pytest.mark.parametrize(("settings", "message"), [
    ({"validate": lambda: 0.0}, "validate_every is 0"),
    ({"patience": 3}, "patience is given"),
    ({"validate": lambda: 0.0, "validate_every": 1, "keep_best": ["modle"]}, "modle"),
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused_at_the_call(settings, message):
    walk = Walk()
    with pytest.raises(TrainingError, match=message):
        fit(walk.step, 3, state={"model": walk}, **settings)


# -- what must stop a run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_stops_and_the_last_checkpoint_stays(tmp_path, bad):
    walk = Walk()
    seen = []
    with pytest.raises(TrainingError, match=f"loss is {bad} at step 7"):
        for report in fit(lambda: bad if walk.step()["loss"] == 7 else 1.0, 9, state={"model": walk}, folder=tmp_path,
                          checkpoint_every=2, progress=False):
            seen.append(report.step)
    assert seen == [1, 2, 3, 4, 5, 6]
    tree = Checkpoints(tmp_path / "checkpoints").read_newest()
    assert tree["step"] == 6 and tree["state"]["model"]["state_dict"]["weight"][0] == 6


def test_a_validation_that_is_not_finite_stops():
    with pytest.raises(TrainingError, match="validation is nan at step 1"):
        validated(Walk(), [math.nan])


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    walk = Walk()

    def step():
        walk.step()
        if walk.weight.data[0] == 4:
            walk.weight.overwrite([np.inf, 0])
        return 1.0  # the loss was computed before the weights broke

    with pytest.raises(TrainingError, match=r"after step 4 model/state_dict/weight is no longer finite.* of step 2"):
        train(walk, 9, step=step, folder=tmp_path, checkpoint_every=2)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [2]


def test_a_mask_of_infinities_is_no_reason_to_stop(tmp_path):
    walk = Walk()
    walk.mask = np.array([0.0, -np.inf])
    train(walk, 2, folder=tmp_path)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [1, 2]


def test_an_error_in_a_step_passes_through_and_saves_nothing_new(tmp_path):
    walk = Walk()

    def step():
        if walk.step()["loss"] == 4:
            raise ZeroDivisionError("my own mistake")
        return 1.0

    with pytest.raises(ZeroDivisionError, match="my own mistake"):
        train(walk, 9, step=step, folder=tmp_path, checkpoint_every=2)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [2]


def test_ctrl_c_waits_for_the_step_then_saves_and_says_how_to_resume(tmp_path, capsys):
    walk = Walk()

    def step():
        if walk.weight.data[0] == 4:
            signal.raise_signal(signal.SIGINT)  # in the middle of step 5, before the weights change
        return walk.step()

    seen = []
    with pytest.raises(KeyboardInterrupt):
        for report in fit(step, 100, state={"model": walk}, folder=tmp_path, progress=False, how_to_resume="minigen x"):
            seen.append(report.step)
    assert seen == [1, 2, 3, 4, 5]
    assert load(tmp_path / "checkpoints" / "step-00000005.npz")["state"]["model"]["state_dict"]["weight"][0] == 5
    assert "Stopped after step 5 of 100; saved at step 5. To go on: minigen x" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_is_obeyed_at_once_and_saves_no_half_step(tmp_path, capsys):
    walk = Walk()

    def step():
        walk.step()
        if walk.weight.data[0] == 6:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("the second Ctrl-C was ignored")
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        train(walk, 100, step=step, folder=tmp_path, checkpoint_every=4)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [4]
    assert "Stopped after step 5 of 100; saved at step 4." in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_the_loop_body_saves_too(tmp_path):
    walk = Walk()
    with pytest.raises(KeyboardInterrupt):
        for report in fit(walk.step, 100, state={"model": walk}, folder=tmp_path, progress=False):
            if report.step == 3:
                signal.raise_signal(signal.SIGINT)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [3]


# -- threads ----------------------------------------------------------------------------------------------------------


def test_training_with_a_number_of_threads_gives_the_others_back():
    before = get_num_threads()
    if before == 1:
        pytest.skip("this machine has one core")
    seen = []
    for threads in (1, None):
        train(Walk(), 1, step=lambda: seen.append(get_num_threads()) or 0.0, threads=threads)
        assert get_num_threads() == before
    for _ in fit(lambda: 0.0, 5, state={}, progress=False, threads=1):
        break
    assert get_num_threads() == before
    with pytest.raises(TrainingError):
        train(Walk(), 1, step=lambda: math.nan, threads=1)
    assert get_num_threads() == before
    assert seen == [1, before]


# -- the bar ----------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_shows_loss_rate_and_time_left_in_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with_bar = bar(4, 1, wanted=True, label="tiny")
    with_bar.set_postfix_str("loss 3.14", refresh=False)
    with_bar.update()
    with_bar.refresh()
    with_bar.close()
    shown = sys.stderr.getvalue()
    assert "tiny:" in shown and "2/4" in shown and "loss 3.14" in shown and "step/s" in shown


def test_the_bar_is_silent_where_nobody_watches(monkeypatch, capsys):
    train(Walk(), 3, progress=True)  # pytest's stderr is no terminal
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    train(Walk(), 3, progress=False)
    assert sys.stderr.getvalue() == ""
