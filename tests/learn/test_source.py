import numpy as np
import pytest

from minigen.errors import MinigenError
from minigen.learn import page, show_source
from minigen.learn.source import excerpt
from minigen.models import vae
from minigen.models.vae import VAE


def test_a_function_is_shown_with_its_file_and_lines():
    heading, code = excerpt(vae.reparameterise)
    assert heading.startswith("minigen/models/vae.py, lines ")
    assert code.startswith("def reparameterise(mean, log_var, *, rng):") and code.endswith("* noise")
    first, last = map(int, heading.rsplit(" ", 1)[1].split("–"))
    lines = open(vae.__file__, encoding="utf-8").read().splitlines()
    assert "\n".join(lines[first - 1 : last]) == code


def test_a_method_loses_its_indentation():
    assert excerpt(VAE.elbo)[1].startswith("def elbo(self, x, *, rng):")


def test_a_decorated_method_is_shown_as_it_is_written():
    assert excerpt(VAE.sample)[1].startswith("@no_grad()\ndef sample(")


def test_only_the_part_asked_for_is_shown():
    heading, code = excerpt(VAE, "def loss", "return self.beta * bound.kl")
    assert code.startswith("def loss") and code.endswith("bound.log_likelihood") and "free_bits" in code
    first, last = map(int, heading.rsplit(" ", 1)[1].split("–"))
    assert len(code.splitlines()) == last - first + 1


@pytest.mark.parametrize("obj", [VAE.elbo, vae.reparameterise, VAE, vae])
def test_the_docstring_can_be_left_out(obj):
    with_it, without = excerpt(obj)[1], excerpt(obj, docstring=False)[1]
    assert len(without) < len(with_it)
    assert not without.splitlines()[1 if obj is not vae else 0].strip().startswith('"""')


def test_a_text_that_is_not_there_is_an_error():
    with pytest.raises(MinigenError, match="no line of elbo contains 'banana'"):
        excerpt(VAE.elbo, "banana")


def test_something_without_source_is_an_error():
    with pytest.raises(MinigenError, match="no Python source"):
        excerpt(np.add)


def test_a_terminal_gets_plain_text(capsys):
    show_source(vae.reparameterise)
    out = capsys.readouterr().out
    assert out.startswith("# minigen/models/vae.py, lines") and "```" not in out


def test_a_notebook_gets_markdown(monkeypatch):
    shown = []
    monkeypatch.setattr(page, "notebook_display", lambda: shown.append)
    show_source(vae.reparameterise)
    text = shown[0]._repr_markdown_()
    assert "```python\ndef reparameterise" in text and text.startswith("`minigen/models/vae.py, lines")
