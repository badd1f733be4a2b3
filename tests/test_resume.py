"""A run that was killed and resumed ends in the same bits as one that never was.

Each trial is a process of its own that is ended by SIGKILL: no handler, no `finally`, no flush. The processes are
forked from one driver (this file run as a script), which has imported everything and computed nothing; so a trial
costs some hundredths of a second. Two tests at the end go the whole way through the command line.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from minigen.train import Checkpoints, load

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
TINY = Path(__file__).with_name("tiny_recipe.py")
TRIALS = 20


def kill_self():
    """Die at once."""
    os.kill(os.getpid(), signal.SIGKILL)


# -- the driver: a script that forks trials ---------------------------------------------------------------------------


def attempt(folder, prepare, every=4, timeout=60.0):
    """Fork; train there, after `prepare(experiment)`; returns whether the child came to the end of its own accord.

    timeout:  seconds after which the child is killed from outside.
    """
    child = os.fork()
    if child == 0:
        try:
            from tiny_recipe import Tiny

            experiment = Tiny(0)
            prepare(experiment)
            for _ in experiment.fit(folder=folder, resume=True, progress=False, checkpoint_every=every):
                pass
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(3)
        os._exit(0)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.001)
    else:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, "the child failed"
    return True


def die_in_step(number, where):
    """A preparation: die in that step, before it, with half of the weights updated, or after it."""

    def prepare(experiment):
        step, update = experiment.step, experiment.optimizer.step

        def dying_update():
            before = experiment.model.second.weight.numpy()
            update()
            if experiment.counter.value == number:
                experiment.model.second.weight.overwrite(before)
                kill_self()

        def dying_step():
            if where == "before" and experiment.counter.value == number - 1:
                kill_self()
            result = step()
            if where == "after" and experiment.counter.value == number:
                kill_self()
            return result

        if where == "within":
            experiment.optimizer.step = dying_update
        experiment.step = dying_step

    return prepare


def die_in_write(number, where):
    """A preparation: die in the checkpoint file of that number, half written, or whole but without its name."""

    def prepare(experiment):
        from minigen.train import checkpoint

        written = [0]
        savez, replace = np.savez, os.replace

        def dying_savez(stream, **arrays):
            written[0] += 1
            if written[0] == number and where == "half written":
                stream.write(b"PK\x03\x04 half a checkpoint")
                stream.flush()
                kill_self()
            savez(stream, **arrays)

        def dying_replace(source, target):
            if written[0] == number and where == "before its name":
                kill_self()
            replace(source, target)
            if written[0] == number and where == "after its name":
                kill_self()

        checkpoint.np.savez, os.replace = dying_savez, dying_replace

    return prepare


def survive(experiment):
    """A preparation: do nothing."""


def drive(base):
    """Run all trials below the folder `base`; print one line of JSON with what happened."""
    base, rng = Path(base), np.random.default_rng(1)
    assert attempt(base / "whole", survive)
    killed = []
    for trial in range(TRIALS):
        number, where = int(rng.integers(1, 55)), str(rng.choice(["before", "within", "after"]))
        if not attempt(base / f"step-{trial}", die_in_step(number, where)):
            killed.append([number, where])
        assert attempt(base / f"step-{trial}", survive)
    for trial, where in enumerate(["half written", "before its name", "after its name"] * 2):
        assert not attempt(base / f"write-{trial}", die_in_write(1 + 5 * (trial // 3), where)), where
        assert attempt(base / f"write-{trial}", survive)
    # Killed again and again from outside, whatever it is doing: with a checkpoint after every step, mostly writing.
    attempts = 1
    while not attempt(base / "chain", survive, every=1, timeout=rng.uniform(0.01, 0.04) * (1 + attempts / 20)):
        attempts += 1
        assert attempts < 200
    print(json.dumps({"killed": killed, "attempts": attempts}))


# -- the tests --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    base = tmp_path_factory.mktemp("trials")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, __file__, str(base)], capture_output=True, text=True, timeout=100,
                          env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return base, json.loads(done.stdout.splitlines()[-1])


def final(folder):
    """The last checkpoint without the clock, and the log without it."""
    files = Checkpoints(folder / "checkpoints")
    tree = load(files.path(files.steps()[-1]))
    assert tree.pop("seconds") > 0
    log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == list(range(1, tree["step"] + 1))
    for line in log:
        del line["seconds"]
    return tree, log


def differences(a, b, path=""):
    """Paths at which two trees differ in any bit."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(set(a) | set(b), key=str):
            if key not in a or key not in b:
                yield f"{path}/{key} is missing"
            else:
                yield from differences(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, np.ndarray):
        if not isinstance(b, np.ndarray) or (a.dtype, a.shape, a.tobytes()) != (b.dtype, b.shape, b.tobytes()):
            yield path
    elif repr(a) != repr(b):
        yield f"{path}: {a!r} and {b!r}"


def check_same(folder, whole):
    (tree, log), (wanted, wanted_log) = final(folder), final(whole)
    tree["settings"].pop("checkpoint_every", None)
    assert list(differences(tree, wanted)) == []
    assert log == wanted_log


def test_the_whole_run_depends_on_everything_that_is_saved(trials):
    base, _ = trials
    tree, log = final(base / "whole")
    assert tree["step"] == 55  # stopped early: patience is part of what is tested
    assert 0 < tree["stopping"]["best_step"] < 55
    assert set(tree["state"]) == {"model", "ema", "optimizer", "batches", "noise", "counter"}
    assert tree["state"]["model"]["generators"]
    assert len({line["loss"] for line in log}) == 55


@pytest.mark.parametrize("trial", range(TRIALS))
def test_killed_in_a_random_step_and_resumed_the_bits_are_the_same(trials, trial):
    base, told = trials
    assert len(told["killed"]) == TRIALS
    check_same(base / f"step-{trial}", base / "whole")


def test_the_random_steps_are_many_and_in_all_places(trials):
    killed = trials[1]["killed"]
    assert len({number for number, _ in killed}) >= 12
    assert {where for _, where in killed} == {"before", "within", "after"}


@pytest.mark.parametrize("trial", range(6))
def test_killed_while_writing_a_checkpoint_and_resumed_the_bits_are_the_same(trials, trial):
    base, _ = trials
    check_same(base / f"write-{trial}", base / "whole")
    assert not list((base / f"write-{trial}" / "checkpoints").glob("*.part"))


def test_killed_at_random_moments_again_and_again_the_bits_are_the_same(trials):
    base, told = trials
    assert told["attempts"] >= 3
    check_same(base / "chain", base / "whole")


# -- through the command line -----------------------------------------------------------------------------------------


def minigen(*arguments, **settings):
    return subprocess.Popen([sys.executable, str(TINY), *map(str, arguments)], stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(TINY.parents[1])}, **settings)


def wait_for_a_checkpoint(folder, process):
    while not Checkpoints(folder / "checkpoints").steps():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_on_the_command_line_and_resumed_the_result_is_the_same(tmp_path, how):
    folder, whole = tmp_path / "stopped", tmp_path / "whole"
    settings = ["train", "tiny", "--data", "slow", "--seed", "3"]
    process = minigen(*settings, "--out", folder)
    wait_for_a_checkpoint(folder, process)
    process.send_signal(how)
    _, errors = process.communicate(timeout=30)
    assert not (folder / "result.json").exists()
    if how == signal.SIGINT:
        assert process.returncode == 130
        step = Checkpoints(folder / "checkpoints").steps()[-1]
        assert f"Stopped after step {step} of 60; saved at step {step}. To go on: minigen train tiny" in errors
        assert "--resume" in errors and "Traceback" not in errors
    else:
        assert process.returncode == -signal.SIGKILL
    refused = minigen(*settings, "--out", folder)
    assert "holds an unfinished run of tiny, seed 3" in refused.communicate(timeout=30)[1]
    assert refused.returncode == 2
    both = minigen(*settings, "--out", folder, "--resume"), minigen(*settings, "--out", whole)
    for process in both:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    check_same(folder, whole)
    results = [json.loads((run / "result.json").read_text()) for run in (folder, whole)]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert list(differences(load(folder / "weights.npz"), load(whole / "weights.npz"))) == []


if __name__ == "__main__":
    drive(sys.argv[1])
