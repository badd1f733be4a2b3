"""Where text and live pictures go: rich in a notebook, plain lines in a terminal."""

import sys


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


class Live:
    """A picture in a notebook that is replaced while a computation runs; outside notebooks it does nothing.

    live = Live(); then, in the loop, live.show(picture). The last picture stays in the cell.
    """

    def __init__(self):
        self._handle = None

    def show(self, picture):
        """Put a new picture in the place of the last one."""
        display = notebook_display()
        if display is None:
            return
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)


def notebook_display():
    """IPython's `display` if this code runs in a notebook, else None."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return None
    shell = get_ipython()
    return display if shell is not None and shell.has_trait("kernel") else None
