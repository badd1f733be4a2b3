import re

from minigen import learn


def test_exercises_are_listed_by_lesson_in_order():
    ids = [item.id for item in learn.exercises("05")]
    assert ids == ["05.1", "05.2", "05.3", "05.4", "05.5", "05.6"]
    assert [item.id for item in learn.exercises(5)] == ids
    all_in_order = [item.id for item in learn.exercises()]
    assert learn.exercises("99") == []
    assert [item.id for item in learn.exercises("A1")] == ["A1.1", "A1.2", "A1.3"]
    assert all_in_order[-3:] == ["A1.1", "A1.2", "A1.3"], "the appendices come last"


def test_all_ids_are_different_and_well_formed():
    ids = [item.id for item in learn.exercises()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"(\d\d|A\d)\.\d", item.id) for item in learn.exercises())
