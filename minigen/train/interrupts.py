"""Ctrl-C, held back while a step is under way.

An interrupt in the middle of a step would leave half of the weights updated, and nothing worth saving. So while a step
(or a checkpoint) is being made, the first Ctrl-C is only noted; the loop acts on it when the step is whole. A second
Ctrl-C is obeyed at once.
"""

import signal
import threading


class Interrupts:
    """`with interrupts.held(): …` notes Ctrl-C in `.noted` instead of raising KeyboardInterrupt.

    Only the main thread receives Ctrl-C, and only Python's own handler is replaced: elsewhere this does nothing.
    """

    def __init__(self):
        self.noted = False

    def held(self):
        """The context manager; it may be entered again and again."""
        return self

    def __enter__(self):
        self._previous = None
        if threading.current_thread() is threading.main_thread():
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exception):
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _note(self, number, frame):
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True
