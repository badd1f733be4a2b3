import json

import numpy as np
import pytest

from minigen.data.batches import Batches, batches
from minigen.errors import DataError, ShapeError


def rng(seed=0):
    return np.random.default_rng(seed)


def test_one_pass_hands_out_every_example_once():
    pieces = list(batches(np.arange(103), 10, rng=rng()))
    assert [len(piece) for piece in pieces] == [10] * 10 + [3]
    joined = np.concatenate(pieces)
    assert sorted(joined) == list(range(103)) and list(joined) != list(range(103))


def test_drop_last_leaves_out_the_remainder_only():
    pieces = list(batches(np.arange(103), 10, rng=rng(), drop_last=True))
    assert [len(piece) for piece in pieces] == [10] * 10
    assert len(set(np.concatenate(pieces))) == 100


def test_rows_of_a_tuple_stay_together():
    x = np.arange(50)
    for a, b in batches((x, np.stack([x, -x], 1)), 7, rng=rng()):
        np.testing.assert_array_equal(b, np.stack([a, -a], 1))


def test_an_array_gives_arrays_and_a_tuple_gives_tuples():
    assert isinstance(next(batches(np.zeros(4), 2, rng=rng())), np.ndarray)
    single = next(batches((np.zeros(4),), 2, rng=rng()))
    assert isinstance(single, tuple) and len(single) == 1


def test_a_batch_larger_than_the_data_is_the_whole_data():
    assert [len(piece) for piece in batches(np.arange(5), 100, rng=rng())] == [5]


def test_batches_are_copies():
    data = np.arange(6)
    next(batches(data, 6, rng=rng()))[:] = -1
    assert data.tolist() == list(range(6))


def test_same_seed_gives_same_batches_and_epochs_differ():
    first, second = Batches(np.arange(20), 20, rng=rng(1)), Batches(np.arange(20), 20, rng=rng(1))
    epochs = [next(first) for _ in range(3)]
    for epoch in epochs:
        np.testing.assert_array_equal(epoch, next(second))
    assert epochs[0].tolist() != epochs[1].tolist() != epochs[2].tolist()


def test_epoch_and_position_count_what_was_handed_out():
    stream = Batches(np.arange(10), 4, rng=rng())
    seen = []
    for _ in range(7):
        seen.append((stream.epoch, stream.position))
        next(stream)
    assert seen == [(0, 0), (0, 4), (0, 8), (1, 0), (1, 4), (1, 8), (2, 0)]
    assert len(stream) == 3 and len(Batches(np.arange(10), 4, rng=rng(), drop_last=True)) == 2


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("bit_generator", [np.random.PCG64, np.random.Philox, np.random.MT19937])
def test_restored_stream_continues_with_identical_batches(drop_last, bit_generator):
    data = (np.arange(37), np.random.default_rng(5).normal(size=(37, 3)))
    choose = rng(11)
    for _ in range(20):
        stream = Batches(data, 5, rng=np.random.Generator(bit_generator(3)), drop_last=drop_last)
        for _ in range(choose.integers(0, 40)):
            next(stream)
        saved = stream.state()
        place = stream.epoch, stream.position
        expected = [next(stream) for _ in range(25)]
        other = Batches(data, 5, rng=np.random.Generator(bit_generator(999)), drop_last=drop_last)
        next(other)
        other.restore(saved)
        assert (other.epoch, other.position) == place
        for batch in expected:
            for wanted, got in zip(batch, next(other), strict=True):
                assert wanted.tobytes() == got.tobytes()


def test_a_generator_shared_with_the_training_step_continues_too():
    def run(stream, steps):
        return [(next(stream).tolist(), stream.rng.standard_normal()) for _ in range(steps)]

    stream = Batches(np.arange(11), 4, rng=rng(2))
    run(stream, 8)
    saved = stream.state()
    expected = run(stream, 9)
    other = Batches(np.arange(11), 4, rng=rng(77))
    other.restore(saved)
    assert run(other, 9) == expected


def test_state_survives_json_and_an_npz_without_pickle(tmp_path):
    stream = Batches(np.arange(30), 7, rng=rng(4))
    for _ in range(7):
        next(stream)
    state = stream.state()
    expected = [next(stream) for _ in range(9)]
    permutation = state.pop("permutation")
    np.savez(tmp_path / "s.npz", permutation=permutation, rest=np.array(json.dumps(state)))
    with np.load(tmp_path / "s.npz", allow_pickle=False) as archive:
        back = json.loads(str(archive["rest"])) | {"permutation": archive["permutation"]}
    other = Batches(np.arange(30), 7, rng=rng(5))
    other.restore(back)
    for batch in expected:
        np.testing.assert_array_equal(next(other), batch)


def test_a_saved_state_does_not_change_afterwards():
    stream = Batches(np.arange(30), 7, rng=rng(4))
    next(stream)
    state = stream.state()
    before = state["permutation"].copy(), state["rng"]["state"]["state"]
    for _ in range(20):
        next(stream)
    np.testing.assert_array_equal(state["permutation"], before[0])
    assert state["rng"]["state"]["state"] == before[1]


def test_changing_a_saved_state_does_not_change_the_stream():
    stream, twin = Batches(np.arange(30), 7, rng=rng(4)), Batches(np.arange(30), 7, rng=rng(4))
    next(stream), next(twin)
    state = stream.state()
    other = Batches(np.arange(30), 7, rng=rng(5))
    other.restore(state)
    state["permutation"][:] = 0
    state["rng"]["state"]["state"] = 1
    for _ in range(9):
        expected = next(twin)
        np.testing.assert_array_equal(next(stream), expected)
        np.testing.assert_array_equal(next(other), expected)


def test_a_state_of_another_run_is_refused():
    stream = Batches(np.arange(30), 7, rng=rng())
    next(stream)
    state = stream.state()
    for other, message in [
        (Batches(np.arange(31), 7, rng=rng()), "length is 30, here it is 31"),
        (Batches(np.arange(30), 8, rng=rng()), "size is 7, here it is 8"),
        (Batches(np.arange(30), 7, rng=rng(), drop_last=True), "drop_last"),
        (Batches(np.arange(30), 7, rng=np.random.Generator(np.random.Philox(0))), "PCG64.*Philox"),
    ]:
        with pytest.raises(DataError, match=message):
            other.restore(state)
    for change, message in [
        ({"permutation": np.zeros(30, int)}, "permutation"),
        ({"position": 30}, "position"),
        ({"permutation": np.empty(0)}, "position 7"),
    ]:
        with pytest.raises(DataError, match=message):
            Batches(np.arange(30), 7, rng=rng()).restore(state | change)


def test_a_refused_state_leaves_the_stream_as_it_was():
    stream, twin = Batches(np.arange(30), 7, rng=rng()), Batches(np.arange(30), 7, rng=rng())
    bad = Batches(np.arange(30), 7, rng=rng(9)).state() | {"position": 5}
    with pytest.raises(DataError):
        stream.restore(bad)
    np.testing.assert_array_equal(next(stream), next(twin))


@pytest.mark.parametrize("arrays", [(np.zeros(3), np.zeros(4)), np.zeros(0), np.zeros(()), ()])
def test_arrays_that_do_not_fit_together_are_named(arrays):
    with pytest.raises(ShapeError, match="first axis"):
        Batches(arrays, 2, rng=rng())
    # The one-pass form complains at the call, not at the first batch.
    with pytest.raises(ShapeError):
        batches(arrays, 2, rng=rng())


@pytest.mark.parametrize("size", [0, -3, 1.5, True])
def test_a_size_that_is_no_count_is_refused(size):
    with pytest.raises(ShapeError, match="positive whole number"):
        Batches(np.zeros(3), size, rng=rng())


def test_drop_last_that_would_leave_nothing_is_refused():
    with pytest.raises(ShapeError, match="no batch"):
        batches(np.zeros(3), 4, rng=rng(), drop_last=True)
