"""The figure of the league."""


def draw(rows, path):
    """Draw."""
