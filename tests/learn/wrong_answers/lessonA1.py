"""What learners typically write in lesson A1, as they would write it, and a phrase that the feedback must contain."""

import math

import numpy as np

# -- A1.1 -------------------------------------------------------------------------------------------------------------


def flop_per_number(rows, columns, depth):
    return 2 * rows * columns * depth / (rows * depth + depth * columns + rows * columns)


def multiply_add_as_one(rows, columns, depth):
    traffic = 4 * (rows * depth + columns * depth + rows * columns)
    return rows * columns * depth / traffic


def result_not_written(rows, columns, depth):
    return 2 * rows * columns / (4 * (rows + columns))


def two_reads_per_multiply_add(rows, columns, depth):
    flops = 2 * rows * columns * depth
    return flops / (4 * (flops + rows * columns))


def result_read_and_written(rows, columns, depth):
    return 2 * rows * columns * depth / (4 * (rows * depth + columns * depth + 2 * rows * columns))


def upside_down(rows, columns, depth):
    return 4 * (rows * depth + columns * depth + rows * columns) / (2 * rows * columns * depth)


# -- A1.2 -------------------------------------------------------------------------------------------------------------


def the_librarys_exp(x, degree):
    return np.exp(x)


def taylor_without_reduction(x, degree):
    y, term = np.ones_like(x), np.ones_like(x)
    for k in range(1, degree + 1):
        term = term * x / k
        y = y + term
    return y


def _polynomial(r, degree):
    return sum(r**k / math.factorial(k) for k in range(degree + 1))


def floor_instead_of_nearest(x, degree):
    n = np.floor(x / np.log(2))
    return 2.0**n * _polynomial(x - n * np.log(2), degree)


def cut_to_int(x, degree):
    n = (x / np.log(2)).astype(int)
    return 2.0**n * _polynomial(x - n * np.log(2), degree)


def one_term_short(x, degree):
    n = np.round(x / np.log(2))
    r = x - n * np.log(2)
    return 2**n * sum(r**k / math.factorial(k) for k in range(degree))


def power_of_two_forgotten(x, degree):
    r = x - np.rint(x / np.log(2)) * np.log(2)
    return _polynomial(r, degree)


def log_two_forgotten(x, degree):
    n = np.rint(x / np.log(2))
    return 2**n * _polynomial(x - n, degree)


def split_into_whole_and_rest(x, degree):
    n = np.rint(x)
    return np.e**n * _polynomial(x - n, degree)


def times_log_two(x, degree):
    n = np.rint(x * np.log(2))
    return 2**n * _polynomial(x - n * np.log(2), degree)


def factorials_forgotten(x, degree):
    n = np.rint(x / np.log(2))
    r = x - n * np.log(2)
    return 2**n * np.polyval(np.ones(degree + 1), r)


def divided_by_k(x, degree):
    n = np.rint(x / np.log(2))
    r = x - n * np.log(2)
    return 2**n * (1 + sum(r**k / k for k in range(1, degree + 1)))


def one_number_only(x, degree):
    return _polynomial(x[0], degree)


# -- A1.3 -------------------------------------------------------------------------------------------------------------


def only_added(m1, l1, y1, m2, l2, y2):
    return np.maximum(m1, m2), l1 + l2, y1 + y2


def values_not_rescaled(m1, l1, y1, m2, l2, y2):
    m = np.maximum(m1, m2)
    return m, l1 * np.exp(m1 - m) + l2 * np.exp(m2 - m), y1 + y2


def wrong_sign(m1, l1, y1, m2, l2, y2):
    m = np.maximum(m1, m2)
    a, b = np.exp(m - m1), np.exp(m - m2)
    return m, a * l1 + b * l2, a[:, None] * y1 + b[:, None] * y2


def first_block_as_reference(m1, l1, y1, m2, l2, y2):
    factor = np.exp(m2 - m1)
    return m1, l1 + factor * l2, y1 + factor[:, None] * y2


def one_maximum_for_all(m1, l1, y1, m2, l2, y2):
    m = np.full(m1.shape, max(np.max(m1), np.max(m2)))
    a, b = np.exp(m1 - m), np.exp(m2 - m)
    return m, a * l1 + b * l2, a[:, None] * y1 + b[:, None] * y2


def divided_already(m1, l1, y1, m2, l2, y2):
    m = np.maximum(m1, m2)
    a, b = np.exp(m1 - m), np.exp(m2 - m)
    total = a * l1 + b * l2
    return m, total, (a[:, None] * y1 + b[:, None] * y2) / total[:, None]


def without_a_new_axis(m1, l1, y1, m2, l2, y2):
    m = np.maximum(m1, m2)
    a, b = np.exp(m1 - m), np.exp(m2 - m)
    return m, a * l1 + b * l2, a * y1 + b * y2


def only_the_result(m1, l1, y1, m2, l2, y2):
    m = np.maximum(m1, m2)
    return np.exp(m1 - m)[:, None] * y1 + np.exp(m2 - m)[:, None] * y2


WRONG = {
    "A1.1": [
        (flop_per_number, "a float32 has 4 bytes"),
        (multiply_add_as_one, "a multiply-add is two flop"),
        (result_not_written, "Writing the tile is missing"),
        (two_reads_per_multiply_add, "You read two numbers for every multiply-add"),
        (result_read_and_written, "written once and never read"),
        (upside_down, "upside down"),
    ],
    "A1.2": [
        (the_librarys_exp, "full precision"),
        (taylor_without_reduction, "You put x itself into the polynomial"),
        (floor_instead_of_nearest, "rounded n down"),
        (cut_to_int, "cut n towards 0"),
        (one_term_short, "one term too early"),
        (power_of_two_forgotten, "The factor 2ⁿ is missing"),
        (log_two_forgotten, "r = x − n log 2"),
        (split_into_whole_and_rest, "x = n + r"),
        (times_log_two, "it is x divided by log 2"),
        (factorials_forgotten, "The factorials are missing"),
        (divided_by_k, "it is k!"),
        (one_number_only, "shape (), wanted (50,)"),
    ],
    "A1.3": [
        (only_added, "relative to different maxima"),
        (values_not_rescaled, "rescaled l but not y"),
        (wrong_sign, "the wrong sign"),
        (first_block_as_reference, "keep the first block's maximum"),
        (one_maximum_for_all, "each query has its own"),
        (divided_already, "already divide y by l"),
        (without_a_new_axis, "operands could not be broadcast"),
        (only_the_result, "wanted three things"),
    ],
}
