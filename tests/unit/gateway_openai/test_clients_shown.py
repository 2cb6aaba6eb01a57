"""Every real client on the OpenAI-compatible endpoint, where the packages of `make clients-test` are installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = Path(sys.prefix) / "clients" / "bin" / "python"
MODULES = ROOT / "tests" / "clients" / "node" / "node_modules"


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists() or not MODULES.exists(), reason="`make clients-test` installs the packages")
def test_every_client_shows_what_the_table_says():
    command = [sys.executable, str(ROOT / "tests" / "clients" / "try_all.py"), str(PYTHON)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
