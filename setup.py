"""Builds the package; everything about it stands in pyproject.toml, save what an sdist holds."""

from setuptools import setup
from setuptools.command.sdist import sdist


class SdistWithTests(sdist):
    """Adds the tests with their helpers, the examples and the pages, which a wheel has not."""

    def make_distribution(self) -> None:
        for folder in ("tests", "examples", "docs"):
            self.filelist.graft(folder)
        for made in ("docs/api", "docs/gallery"):
            self.filelist.prune(made)
        self.filelist.global_exclude("*.py[cod]")
        self.filelist.append("CHANGELOG.md")
        super().make_distribution()


setup(cmdclass={"sdist": SdistWithTests})
