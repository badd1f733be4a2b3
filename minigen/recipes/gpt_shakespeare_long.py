"""gpt-shakespeare-long: a GPT on the characters of tiny-shakespeare that beats the n-gram.

Counting alone comes to 1.669 nats per character on this text (`ngram-shakespeare`), nanoGPT's configuration for a CPU
to 1.88. The same network, 4 blocks, 128 wide, gets far below both when it is trained better and not much longer:

    Muon       for the matrices inside of the blocks, AdamW for the embedding and the norms
    rotary     positions, and 128 characters of context in place of 64
    dropout    of a tenth, since the text is read about three times
    batches    of 12 · 128 characters, twice as large; the rates fall to 0 along half a cosine

Muon makes the largest difference: in a trial of 1,200 batches of 8 · 128 characters (one seed, a dropout of 0.05, the
parts of W_qkv orthogonalised one by one) it came to 1.631 on the validation text, AdamW alone, at the rate 0.004, to
1.795.

Protocol: as gpt-shakespeare. The figure to compare with an n-gram, which always has its whole context, is
`validation_with_context`. The weights are those of the last step. These settings, nothing else, were chosen on the
validation text, as everybody does with this text, which has no third part: so the figures are a little too good.
"""

from minigen.optim import AdamW, Muon
from minigen.recipes import base, gpt_shakespeare


class Experiment(gpt_shakespeare.Experiment):
    """As gpt-shakespeare, with two optimisers."""

    settings = {"block_size": 128, "layers": 4, "heads": 4, "width": 128, "bias": False, "positions": "rotary",
                "dropout": 0.1}
    quick_settings = {**settings, "block_size": 64, "layers": 2, "heads": 2, "width": 64, "dropout": 0.0}
    batch_size = 12
    full_steps, quick_steps = 2_000, 300
    rate, final = 4e-3, 0.0  # of AdamW
    matrix_rate = 0.02       # of Muon

    def make_optimizers(self):
        """Muon for the matrices of the blocks, AdamW for everything else."""
        matrices, others = gpt_shakespeare.blocks_and_rest(self.model)
        return {"muon": Muon(matrices, lr=self.matrix_rate, weight_decay=0.1),
                "adamw": AdamW(others, lr=self.rate, betas=(0.9, 0.99), weight_decay=0.0)}


RECIPE = base.Recipe(
    name="gpt-shakespeare-long",
    summary="a GPT of 0.8 million weights on tiny-shakespeare, trained with Muon until it beats the n-gram",
    lesson="07",
    build=Experiment,
    # Seeds 0, 1, 2 gave 1.563, 1.561, 1.566, and with context 1.540, 1.544 (quick: 2.116 to 2.123).
    band={"validation": (1.53, 1.60), "validation_with_context": (1.51, 1.575)},
    quick_band={"validation": (2.05, 2.19)},
    anchor="the 5-gram 1.669 nats per character; nanoGPT's README: 1.88 on a CPU, 1.4697 on an A100",
    source="Jordan et al. 2024, Muon; Su et al. 2021, arXiv:2104.09864 (rotary); Karpathy 2022, nanoGPT",
    budget_seconds=1_200,
    takes_data=True,
)
