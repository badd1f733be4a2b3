"""Where text goes: Markdown in a notebook, plain lines in a terminal."""

import sys

from minigen.viz import notebook_display


class Markdown:
    """Text that a notebook renders as Markdown and everything else prints as it is."""

    def __init__(self, markdown, plain):
        self.markdown, self.plain = markdown, plain

    def _repr_markdown_(self):
        return self.markdown

    def __repr__(self):
        return self.plain


def show(markdown, plain):
    """Display Markdown if this runs in a notebook, else print the plain form."""
    display = notebook_display()
    if display is None:
        say(plain)
    else:
        display(Markdown(markdown, plain))


def say(text):
    """Print, replacing characters that the terminal's encoding lacks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))
