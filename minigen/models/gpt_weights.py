"""Weights of a GPT from elsewhere, by name: nanoGPT's and those of GPT-2 as the Hugging Face library names them.

    model.load_state_dict(gpt_weights.translated(state))

All three name the parts alike (`h.0.attn.c_attn.weight`), and differ in this:

    nanoGPT   has `transformer.` before all names, and `lm_head.weight` beside the embedding to which it is tied
    GPT-2     as nanoGPT, or without the prefix; the weights of the four linear layers of a block are stored as
              (inputs, outputs), since OpenAI's code used a convolution of length 1 there; the causal masks are stored
              as `attn.bias` and `attn.masked_bias`

GPT-2 itself is Config(50257, block_size=1024, layers=12, heads=12, width=768, gelu="tanh").

Source: Karpathy 2022, nanoGPT, model.py (`from_pretrained`).
"""

import numpy as np

from minigen.errors import StateError

LINEAR = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
MASKS = (".attn.bias", ".attn.masked_bias")


def translated(state, *, tied=True):
    """A state dict of nanoGPT or GPT-2 with the names and shapes of `gpt.GPT`.

    state:    dict from name to array, or PyTorch's CPU tensor.
    tied:     whether the model is (`Config.tied`): then the last layer's weight is left out.
    Raises:   StateError if there is no c_attn weight, from whose shape the two kinds are told apart, or if tied and the
              last layer's weight is not the embedding.
    """
    arrays = {name.removeprefix("transformer."): np.asarray(value) for name, value in state.items()}
    arrays = {name: array for name, array in arrays.items() if not name.endswith(MASKS)}
    first = next((array for name, array in arrays.items() if name.endswith(LINEAR[0])), None)
    if first is None or first.ndim != 2:
        raise StateError(f"gpt_weights.translated: found {sorted(arrays)[:6]} …; expected names such as "
                         f"h.0.attn.c_attn.weight, with two axes")
    if first.shape[1] == 3 * first.shape[0]:  # (D, 3·D): inputs first, as in GPT-2; nanoGPT has (3·D, D)
        arrays = {name: array.T if name.endswith(LINEAR) else array for name, array in arrays.items()}
    if tied and "lm_head.weight" in arrays:
        last = arrays.pop("lm_head.weight")
        if not np.array_equal(last, arrays.get("wte.weight")):
            raise StateError("gpt_weights.translated: lm_head.weight is not wte.weight, so the weights are not tied; "
                             "expected tied=False, and a model with Config(tied=False)")
    return arrays
