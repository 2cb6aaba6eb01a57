"""The examples in docstrings hold. They are run here: the folders are no importable packages by their own names."""

import doctest
import importlib
from pathlib import Path

import pytest

import endocrine.agents
import endocrine.pipeline.core
import endocrine.schemas

PACKAGES = {
    "endocrine.agents": Path(endocrine.agents.__file__).parent,
    "endocrine.pipeline": Path(endocrine.pipeline.core.__file__).parent.parent,
    "endocrine.schemas": Path(endocrine.schemas.__file__).parent,
}


def modules_with_examples():
    for package, folder in PACKAGES.items():
        for file in sorted(folder.rglob("*.py")):
            if ">>> " in file.read_text():
                parts = file.relative_to(folder).with_suffix("").parts
                yield ".".join([package, *(part for part in parts if part != "__init__")])


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_the_examples_of_a_module_hold(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0
