"""The catalogue: which lesson has which modules, recipes, notebook, tests and figures. It is written down only here.

Tests hold it to the truth (tests/test_catalog.py): what it names exists, what exists it names, and the README's table
of lessons is the one that `python -m minigen.catalog` prints.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    number:    "05"; appendices have a letter, "A1"
    title:     as in the notebook's first line and in the README
    topic:     a few words on what is in it
    notebook:  the file's name in lessons/, or None while the lesson is not written
    modules:   the source files that it explains, below minigen/
    recipes:   the names of its recipes
    """

    number: str
    title: str
    topic: str
    notebook: str | None = None
    modules: tuple = ()
    recipes: tuple = ()

    @property
    def exists(self):
        """True if the lesson can be read."""
        return self.notebook is not None

    @property
    def tests(self):
        """The test file of each module, below tests/: tests mirror the source."""
        return tuple(f"{folder}test_{file}" for folder, _, file in map(_split, self.modules))

    @property
    def figures(self):
        """The pattern of its figures, below figures/."""
        return f"{self.number}_*.png"


LESSONS = (
    Lesson(
        "01", "Probability and likelihood", "what a generative model is; maximum likelihood; a machine that writes",
        notebook="01_probability_and_likelihood.ipynb",
        modules=("models/ngram.py", "data/grammar.py", "data/stories.py", "data/characters.py", "data/pytext.py",
                 "metrics/likelihood.py"),
        recipes=("ngram-shakespeare", "ngram-stories"),
    ),  # fmt: skip
    Lesson(
        "02", "A neuron, a graph, a gradient", "neural networks, backpropagation, autograd",
        notebook="02_a_neuron_a_graph_a_gradient.ipynb",
        modules=("models/mlp.py", "viz/graph.py"),
        recipes=("mlp-moons",),
    ),  # fmt: skip
    Lesson(
        "03", "Learning by gradient descent", "SGD, momentum, Adam, initialisation, normalisation, convolution",
        notebook="03_learning_by_gradient_descent.ipynb",
        modules=("models/classifier.py", "metrics/classification.py", "data/shifts.py"),
        recipes=("classifier-digits",),
    ),  # fmt: skip
    Lesson(
        "04", "Latent variables and EM", "mixtures, expectation-maximisation",
        notebook="04_latent_variables_and_em.ipynb",
        modules=("models/gmm.py", "models/hmm.py", "models/ppca.py"),
        recipes=("gmm-ring",),
    ),  # fmt: skip
    Lesson(
        "05", "Variational autoencoders", "encoder, decoder, ELBO, reparameterisation, interpolation, blur",
        notebook="05_variational_autoencoders.ipynb",
        modules=("models/vae.py", "models/vqvae.py"),
        recipes=("vae-digits", "vae-digits-categorical", "vae-glyphs"),
    ),  # fmt: skip
    Lesson(
        "06", "Autoregressive images", "p(x) as a product of conditionals, pixel by pixel",
        notebook="06_autoregressive_images.ipynb",
        modules=("models/made.py", "models/pixelcnn.py", "nn/masked.py"),
        recipes=("made-digits", "pixelcnn-digits", "pixelcnn-glyphs"),
    ),  # fmt: skip
    Lesson(
        "07", "Transformers and GPT", "self-attention, GPT, sampling, text and code",
        notebook="07_transformers_and_gpt.ipynb",
        modules=("models/gpt.py", "models/gpt_weights.py", "models/generation.py", "data/tokenizer.py",
                 "data/dialogues.py", "chat.py", "metrics/code.py", "optim/muon.py"),
        recipes=("gpt-chat", "gpt-code", "gpt-shakespeare", "gpt-shakespeare-long", "gpt-stories"),
    ),  # fmt: skip
    Lesson(
        "08", "Generative adversarial networks", "minimax, instability, mode collapse",
        notebook="08_generative_adversarial_networks.ipynb",
        modules=("models/gan.py", "models/gan_networks.py", "models/dirac_gan.py", "models/vae_gan.py",
                 "metrics/modes.py"),
        recipes=("gan-ring", "gan-grid", "gan-ring-vanilla", "gan-ring-packed", "gan-ring-r1", "gan-ring-wgan-gp",
                 "gan-grid-vanilla", "gan-grid-packed", "gan-grid-r1", "gan-grid-wgan-gp", "gan-digits",
                 "dcgan-glyphs", "vaegan-glyphs"),
    ),  # fmt: skip
    Lesson(
        "09", "Style-based generators", "StyleGAN, editing by style",
        notebook="09_style_based_generators.ipynb",
        modules=("models/stylegan.py", "models/style_critic.py", "models/style_editing.py"),
        recipes=("stylegan-glyphs",),
    ),  # fmt: skip
    Lesson(
        "10", "Score matching and Langevin sampling", "the gradient of log p, and walking along it",
        notebook="10_score_matching_and_langevin_sampling.ipynb",
        modules=("models/score.py", "models/langevin.py", "distributions/noised_mixture.py"),
        recipes=("score-grid",),
    ),  # fmt: skip
    Lesson(
        "11", "Diffusion models", "forward noise, reverse denoising, the noise-prediction loss",
        notebook="11_diffusion_models.ipynb",
        modules=("models/schedules.py", "models/diffusion.py", "models/samplers.py", "models/probability_flow.py",
                 "models/edm.py", "models/editing.py"),
        recipes=("diffusion-grid", "diffusion-digits", "diffusion-glyphs", "diffusion-phantoms", "diffusion-upscale"),
    ),  # fmt: skip
    Lesson("12", "Text to image", "latent diffusion, cross-attention, guidance, editing"),
    Lesson(
        "13", "Flows and hybrids", "normalising flows, flow matching, GAN with diffusion",
        notebook="13_flows_and_hybrids.ipynb",
        modules=("models/bijections.py", "models/realnvp.py", "models/splines.py", "models/glow.py", "models/maf.py",
                 "models/dequantisation.py", "models/cnf.py", "models/flow_matching.py", "models/diffusion_gan.py",
                 "models/distillation.py", "models/sharpening.py", "models/class_glow.py", "models/flow_vae.py",
                 "nn/ode.py"),
        recipes=("realnvp-moons", "spline-moons", "maf-grid", "maf-grid-spline", "realnvp-digits", "spline-digits",
                 "glow-glyphs", "vae-flow-digits", "flow-matching-grid", "flow-matching-glyphs", "rectified-grid",
                 "rectified-glyphs", "consistency-grid", "consistency-grid-sharp", "consistency-glyphs",
                 "progressive-glyphs", "diffusion-gan-grid", "diffusion-gan-glyphs"),
    ),  # fmt: skip
    Lesson("14", "Using and judging generative models", "augmentation, anomalies, diversity, deepfakes"),
    Lesson(
        "A1", "From a triple loop to the machine's limit",
        "the roofline, cache blocks, register tiles, threads, a fast exp, attention in little memory",
        notebook="A1_fast_kernels.ipynb",
        modules=("kernels/tile.py", "kernels/product.py", "kernels/convolutions.py", "kernels/functions.py",
                 "kernels/attention.py"),
    ),  # fmt: skip
)


def lesson(number):
    """The Lesson with this number: "05", 5 or "A1".

    Raises:   KeyError if there is none.
    """
    return {entry.number: entry for entry in LESSONS}[as_number(number)]


def as_number(number):
    """A lesson's number in two characters: 5 and "5" are "05", "A1" stays as it is."""
    return str(number).zfill(2)


def readme_table():
    """The README's table of lessons, in Markdown: a lesson that can be read is a link."""
    rows = ["| | Lesson | What is in it |", "|---|---|---|"]
    for entry in LESSONS:
        name = f"[{entry.title}](lessons/{entry.notebook})" if entry.exists else entry.title
        rows.append(f"| {entry.number} | {name} | {entry.topic}{'' if entry.exists else ' *(planned)*'} |")
    return "\n".join(rows)


def _split(module):
    folder, slash, file = module.rpartition("/")
    return folder + slash, slash, file


if __name__ == "__main__":
    print(readme_table())
