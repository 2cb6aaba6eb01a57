"""The benchmark lies at the top of the checkout, and is in no wheel."""

import sys
from pathlib import Path

# Last: the folders beside it must not hide packages of their names.
sys.path.append(str(Path(__file__).parents[3]))
