import time

import numpy as np

from minigen.learn.measure import cost


def test_memory_is_what_the_call_has_at_once_and_arguments_are_not_counted():
    given = np.ones(1_000_000)
    _, megabytes = cost(lambda x: (x * 2).sum(), given)
    assert 8 <= megabytes < 8.5


def test_seconds_are_those_of_one_call_and_the_first_is_not_counted():
    calls = []

    def slow_at_first():
        time.sleep(0.2 if not calls else 0.01)
        calls.append(1)

    seconds, _ = cost(slow_at_first)
    assert 0.01 <= seconds < 0.15 and len(calls) == 5
