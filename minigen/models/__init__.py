"""The models, one file each: the derivation at the top with numbered equations, then the code that implements them."""
