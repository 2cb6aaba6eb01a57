"""The copy of the project that mutation testing works on."""

import os
import subprocess
import sys
from pathlib import Path

import tree

ROOT = Path(__file__).parents[3]


def test_in_the_copy_properties_try_few_examples(tmp_path):
    tree.make(ROOT, tmp_path, ["agents/capture"])
    asked = "hypothesis.settings(**{'max_' + 'examples': 500})"
    shown = f"import conftest, hypothesis; print({asked}.max_examples)"
    paths = os.pathsep.join(["tests", "tests/support", *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", shown], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str(tree.EXAMPLES), done.stderr
