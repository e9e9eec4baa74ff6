"""The packages of the wheel: the rooms of nlp_transfer, and the folder recipes/ as nlp_transfer.recipes."""

from setuptools import find_packages, setup

# pyproject.toml can find packages or map folders to them, and not both.
setup(
    packages=[*find_packages(include=["nlp_transfer*"]), "nlp_transfer.recipes"],
    package_dir={"nlp_transfer.recipes": "recipes"},
)
