"""Where the packages lie: the folders at the top of the repository are sub-packages of `endocrine`.

All else is in pyproject.toml, which cannot name packages by a rule and map them to folders at once.
"""

from setuptools import find_packages, setup

FOLDERS = ("agents", "config", "pipeline", "schemas")
PUBLIC = "pipeline/public"
"""Files of the package `endocrine` itself."""

inner = find_packages(
    include=[pattern for name in FOLDERS for pattern in (name, f"{name}.*")], exclude=["pipeline.public"]
)
setup(
    packages=["endocrine", *(f"endocrine.{name}" for name in inner)],
    package_dir={"endocrine": PUBLIC, **{f"endocrine.{name}": name for name in FOLDERS}},
    package_data={
        "endocrine": ["py.typed"],
        "endocrine.config": ["**/*.yaml", "**/*.jsonl"],
        "endocrine.pipeline.console": ["static/**/*", "templates/*.html"],
        "endocrine.pipeline.local": ["*.json", "*.xml", "*.properties"],
    },
)
