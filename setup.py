"""`pip install .` ends here. All metadata is in pyproject.toml; what is left is to take the lessons along.

The notebooks live in lessons/, beside the package. An installed package has no checkout beside it, so the build puts a
copy into minigen/_lessons, where `minigen lessons` looks for it.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class build_with_lessons(build_py):
    """The ordinary build, then the copy."""

    def run(self):
        super().run()
        if self.editable_mode:  # an editable install runs from the checkout, which has them
            return
        target = Path(self.build_lib) / "minigen" / "_lessons"
        target.mkdir(parents=True, exist_ok=True)
        for notebook in sorted((Path(__file__).parent / "lessons").glob("*.ipynb")):
            shutil.copyfile(notebook, target / notebook.name)


setup(cmdclass={"build_py": build_with_lessons})
