from minigen.metrics import features
from minigen.recipes import gan_digits,judging
from minigen.recipes.pixelcnn_glyphs import letters
from minigen.recipes.vae_glyphs import CAPITALS, LEVELS, SIZE
import numpy as np

class Experiment(gan_digits.Experiment):
    size, classes = SIZE, len(CAPITALS)
    lazy=4
    full_steps=2000
    latent, embedding, width = 32, 16, 16
    def load(self, quick):
        self.train, self.held_out = letters(3000 if quick else 6000, seed=1), letters(1000, seed=3)
    def read(self, images):
        return features.load("glyphs").answers(np.clip(images,0,16) / (LEVELS - 1), among=CAPITALS)
    def real(self):
        return judging.Pictures(self.train[0], self.held_out[0], LEVELS - 1, "glyphs", CAPITALS)
