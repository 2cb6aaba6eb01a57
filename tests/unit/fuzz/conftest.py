"""The modules of tests/fuzz are a program of their own; here they are imported as such."""

import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "fuzz"))


@pytest.fixture
def seeded() -> random.Random:
    """The same chance each time."""
    return random.Random(1)
