"""The wheel, installed where an application lives: beside a package called `agents`, in a folder with a `config/`."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def run(*command, cwd=None):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ENDOCRINE_", "PYTHON"))}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    source = folder / "source"
    # A copy: a build leaves a folder in what it builds.
    tracked = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, tracked):
        if name.startswith(("agents/", "config/", "pipeline/", "schemas/")) or "/" not in name:
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An environment with the wheel, and with what it needs as this one has it."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # A folder that is named in a .pth file brings its packages, and no editable installation.
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(
        sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "-q", "install", "--no-deps",
        "--ignore-installed", "--no-index", wheel,
    )  # fmt: skip
    return python


@pytest.fixture
def application(tmp_path):
    """A folder of an application that has a `config` of its own."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "__init__.py").write_text("raise RuntimeError('the application\\'s, not ours')")
    (tmp_path / "config" / "policy.yaml").write_text("not: ours\n")
    return tmp_path


def test_the_wheel_holds_one_package_and_no_test_code(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"endocrine"}
    assert "endocrine/py.typed" in names
    assert {"endocrine/config/policy.yaml", "endocrine/pipeline/local/kafka-jars.lock.json"} <= set(names)
    assert not [name for name in names if "simbroker" in name or "tests" in name or "/public/" in name]


def test_it_holds_every_module_of_the_checkout(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for file in run("git", "ls-files", "agents", "config", "pipeline", "schemas", cwd=ROOT).splitlines():
        if file.endswith((".py", ".yaml", ".jsonl", ".json", ".xml", ".properties")) and "public/" not in file:
            assert file.endswith("pom.xml") or f"endocrine/{file}" in names


def test_openais_agents_lie_beside_it(python, application):
    import_both = "import agents, endocrine; print(agents.Runner.__name__, endocrine.__version__)"
    assert run(python, "-c", import_both, cwd=application).startswith("Runner 0.")


@pytest.mark.parametrize(
    "command", [("policy", "check"), ("worker", "--help"), ("simulate", "-"), ("--version",)], ids=" ".join
)
def test_commands_run_in_a_folder_that_has_a_config(python, application, command):
    endocrine = python.with_name("endocrine")
    record = '{"topic": "signals", "value": {"identity": "ann", "name": "novelty", "level": 0.5, "ts": 1}}\n'
    (application / "records.jsonl").write_text(record)
    words = [application / "records.jsonl" if word == "-" else word for word in command]
    assert run(endocrine, *words, cwd=application)


def test_every_public_name_is_there(python, application):
    names = "import endocrine; print(all(getattr(endocrine, name) for name in endocrine.__all__))"
    assert run(python, "-c", names, cwd=application) == "True\n"
