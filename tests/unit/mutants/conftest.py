"""The modules of tests/mutants are a program of their own; here they are imported as such."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "mutants"))
