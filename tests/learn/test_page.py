import io
import sys

from minigen.learn import Live, page


def test_live_pictures_do_nothing_outside_a_notebook():
    Live().show(object())
    assert page.notebook_display() is None


def test_live_pictures_replace_each_other_in_a_notebook(monkeypatch):
    calls = []

    class Handle:
        def update(self, picture):
            calls.append(("update", picture))

    def display(picture, display_id):
        calls.append(("display", picture))
        return Handle()

    monkeypatch.setattr(page, "notebook_display", lambda: display)
    live = Live()
    for name in "abc":
        live.show(name)
    assert calls == [("display", "a"), ("update", "b"), ("update", "c")]


def test_a_terminal_without_these_characters_gets_a_replacement_and_no_error(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    page.say("✓ done: 5 ≤ 6")
    sys.stdout.flush()
    assert raw.getvalue() == b"? done: 5 ? 6\n"
