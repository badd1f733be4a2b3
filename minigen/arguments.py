"""What kinds of arguments the commands take: the types that argparse checks, and the one option that all have."""

import argparse


def debug(parser):
    """Give a parser the option --debug."""
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS,
                        help="show the traceback of an error")


def whole(least):
    """The type of a whole number of at least `least`: a function from text to int."""
    def whole_number(text):
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return value

    return whole_number


def temperature(text):
    """The type of a number from 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value
