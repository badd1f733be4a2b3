from minigen import learn


def test_exercises_are_listed_by_lesson_in_order():
    ids = [item.id for item in learn.exercises("05")]
    assert ids == ["05.1", "05.2", "05.3", "05.4", "05.5", "05.6"]
    assert [item.id for item in learn.exercises(5)] == ids
    assert learn.exercises("99") == []


def test_all_ids_are_different_and_well_formed():
    ids = [item.id for item in learn.exercises()]
    assert len(set(ids)) == len(ids)
    assert all(len(item.lesson) == 2 and item.lesson.isdigit() for item in learn.exercises())
