"""gpt-shakespeare-long: every parameter has one optimiser, and the right one."""

import numpy as np
import pytest

from minigen import recipes
from minigen.data import stories


@pytest.fixture
def experiment(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(stories.corpus(20_000, rng=np.random.default_rng(0)), encoding="utf-8")
    with pytest.warns(UserWarning, match="in place of"):
        return recipes.get("gpt-shakespeare-long").build(0, True, data=path, steps=40)


def test_muon_has_the_matrices_of_the_blocks_and_adamw_the_rest(experiment):
    names = {id(p): name for name, p in experiment.model.named_parameters()}
    owned = {key: [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
             for key, optimizer in experiment.optimizers.items()}
    assert sorted(owned["muon"] + owned["adamw"]) == sorted(names.values())
    assert sorted(owned["muon"]) == sorted(
        f"h.{i}.{part}.weight" for i in range(2) for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"))
    assert "wte.weight" in owned["adamw"]


def test_a_step_moves_every_parameter_and_both_rates_follow_the_schedule(experiment):
    before = {name: p.numpy().copy() for name, p in experiment.model.named_parameters()}
    rates = []
    for _ in experiment.fit(progress=False):
        rates.append([optimizer.param_groups[0]["lr"] for optimizer in experiment.optimizers.values()])
    assert all((p.numpy() != before[name]).any() for name, p in experiment.model.named_parameters())
    rates = np.array(rates)
    np.testing.assert_allclose(rates[:, 0] / 0.02, rates[:, 1] / 4e-3)
    assert rates.argmax(0).tolist() == [7, 7] or rates.argmax(0).tolist() == [8, 8]  # after a fifth of the steps
    assert 0 < rates[-1, 0] < 0.001
