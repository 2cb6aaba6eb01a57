"""Arrows go one way: pipeline -> agents -> schemas; what is pure reaches nothing of the world."""

import ast
import sys
from pathlib import Path

import pytest

from endocrine import agents
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.catalogue import CATALOGUE
from import_graph import import_graph

OUTSIDE = {
    "schemas": {"pydantic", "pydantic_core", "typing_extensions", "annotated_types"},
    "agents": {
        "pydantic",
        "typing_extensions",
        "annotated_types",
        "simpleeval",
        "re2",
        "rfc8785",
        "jsonschema",
        "orjson",
        "yaml",
    },
}
"""Third-party packages that may be imported: all of them compute, none of them reaches out."""
IMPURE = {
    "asyncio", "atexit", "builtins", "concurrent", "ctypes", "faulthandler", "fcntl", "fileinput", "ftplib",
    "gc", "getpass", "glob", "http", "imaplib", "importlib", "io", "locale", "logging", "mmap",
    "multiprocessing", "os", "pathlib", "pickle", "platform", "poplib", "pty", "queue", "random", "resource",
    "sched", "secrets", "select", "selectors", "shelve", "shutil", "signal", "smtplib", "socket",
    "socketserver", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "termios", "threading", "time", "timeit",
    "tty", "urllib", "uuid", "warnings", "weakref", "webbrowser",
}  # fmt: skip
"""Modules of the standard library that bring in time, chance, environment, threads or input and output."""


@pytest.fixture(scope="module")
def graph():
    return import_graph()


def imports(graph, package):
    """(importer, imported) of everything that the package's modules import directly, TYPE_CHECKING included."""
    package = f"endocrine.{package}"
    for module in sorted(graph.find_descendants(package) | {package}):
        for imported in sorted(graph.find_modules_directly_imported_by(module)):
            yield module, imported


def top(module):
    """The folder of one of our modules, the package of another's."""
    return module.removeprefix("endocrine.").partition(".")[0]


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("schemas", {"agents", "pipeline", "config"}), ("agents", {"pipeline", "config"})],
)
def test_no_arrow_goes_back(graph, package, forbidden):
    assert [pair for pair in imports(graph, package) if top(pair[1]) in forbidden] == []


ROOMS = (
    "core", "process", "kafka", "views", "runtime", "connectors", "replay", "data", "gateway", "console", "local",
    "public", "cli",
)  # fmt: skip
"""Of pipeline/, in order: a room imports those before it."""


def room(module):
    """The room of one of our modules in pipeline/, None for any other."""
    parts = module.split(".")
    return parts[2] if parts[:2] == ["endocrine", "pipeline"] and len(parts) > 2 else None


def test_a_room_imports_only_rooms_before_it(graph):
    found = {(room(module), room(imported), module) for module, imported in imports(graph, "pipeline")}
    assert {name for name, _, _ in found} - {None} <= set(ROOMS)
    place = {name: number for number, name in enumerate(ROOMS)}
    back = [pair for pair in found if None not in pair[:2] and place[pair[1]] > place[pair[0]]]
    assert sorted(back) == []


def test_pipeline_holds_rooms_only():
    folder = Path(agents.__file__).parent.parent / "pipeline"
    # What an earlier layout left behind in a checkout holds no module.
    entries = {path.relative_to(folder).parts[0] for path in folder.rglob("*.py")} - {"__init__.py"}
    assert entries <= set(ROOMS)


@pytest.mark.parametrize("package", ["schemas", "agents"])
def test_what_is_pure_imports_only_what_computes(graph, package):
    mine = {"schemas"} if package == "schemas" else {"schemas", "agents"}
    found = {pair for pair in imports(graph, package) if top(pair[1]) not in mine}
    assert [pair for pair in sorted(found) if pair[1].partition(".")[0] in IMPURE] == []
    outside = {pair for pair in found if pair[1].partition(".")[0] not in sys.stdlib_module_names}
    assert [pair for pair in sorted(outside) if pair[1].partition(".")[0] not in OUTSIDE[package]] == []


def test_the_graph_was_really_read(graph):
    assert graph.find_shortest_chain("endocrine.pipeline.core.catalogue", "endocrine.schemas.base")
    assert ("endocrine.agents.contract", "typing") in set(imports(graph, "agents"))


REGULATORS = ("modulation", "gating", "feedback")


def test_attribution_reaches_no_regulator_by_topic():
    for agent in AGENTS:
        if agent.name in REGULATORS:
            assert not {"observations", "attribution-states", "attribution-changes"} & set(agent.sources)
        elif agent.name in ("attribution", "suspicion"):
            assert set(agent.targets) <= {"attribution-states", "attribution-changes", "erasure-events", "rekeys"}
    assert not [agent.name for agent in AGENTS if {"erasure-events", "rekeys"} & set(agent.sources)]


def test_attribution_reaches_no_regulator_by_import(graph):
    # One policy document holds every section, so a chain to attribution's thresholds exists; to its thoughts none.
    thoughts = [
        module
        for package in ("endocrine.agents.attribution", "endocrine.agents.suspicion")
        for module in graph.find_descendants(package)
        if not module.endswith(".rules")
    ]
    assert len(thoughts) >= 2
    for regulator in REGULATORS:
        for module in thoughts:
            assert graph.find_shortest_chain(f"endocrine.agents.{regulator}", module, as_packages=True) is None
        direct = {imported for _, imported in imports(graph, f"agents.{regulator}")}
        assert not [
            name for name in direct if name.startswith(("endocrine.agents.attribution", "endocrine.agents.suspicion"))
        ]


@pytest.mark.parametrize("regulator", REGULATORS)
def test_a_regulator_never_looks_at_the_sections_of_attribution(regulator):
    files = list((Path(agents.__file__).parent / regulator).glob("*.py"))
    assert len(files) >= 3
    for file in files:
        used = {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
        assert not used & {"attribution", "primitives"}, file


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_every_topic_that_an_agent_names_is_in_the_catalogue(agent):
    assert set(agent.sources) | set(agent.targets) <= set(CATALOGUE)
    assert len(set(agent.sources)) == len(agent.sources)
    assert len(set(agent.targets)) == len(agent.targets)
    assert "/" not in agent.name


@pytest.mark.parametrize("topic", CATALOGUE)
def test_a_topic_that_is_read_has_an_owner_that_reads_it(topic):
    readers = {agent.name for agent in AGENTS if topic in agent.sources}
    owner = CATALOGUE[topic].owner
    assert owner in readers if readers else owner is None


def test_trusted_state_is_written_by_trust_alone_and_trust_reads_commands_alone(graph):
    assert [agent.name for agent in AGENTS if {"trusted-states", "state-events"} & set(agent.targets)] == ["trust"]
    assert [agent.sources for agent in AGENTS if agent.name == "trust"] == [("commands",)]
    assert not [agent.name for agent in AGENTS if "commands" in agent.targets]
    # Only its agent makes such records: no other module names the topic together with a way of writing it.
    folder = Path(agents.__file__).parent.parent
    named = {
        path.relative_to(folder).as_posix()
        for room in ("agents", "pipeline")
        for path in (folder / room).rglob("*.py")
        if "trusted-states" in path.read_text(encoding="utf-8")
    }
    assert named == TRUSTED_STATES


TRUSTED_STATES = {
    "agents/trust/agent.py",
    "agents/trust/rekey.py",
    "pipeline/console/screens/identity.py",
    "pipeline/console/screens/trusted.py",
    "pipeline/core/catalogue.py",
    "pipeline/core/content.py",
    "pipeline/data/context.py",
    "pipeline/gateway/routes/trusted.py",
    "pipeline/views/redis/writes.py",
}
"""Modules that name the topic: its writer, the catalogue, what of it is content, and what reads it for people."""


def test_modulation_alone_writes_modulations():
    assert [agent.name for agent in AGENTS if "modulations" in agent.targets] == ["modulation"]


def test_a_topic_of_which_the_last_state_alone_is_spoken_is_compacted_and_read_by_no_agent():
    for topic in CATALOGUE.values():
        if topic.coalesce:
            assert topic.cleanup == "compact"
            assert not [agent.name for agent in AGENTS if topic.name in agent.sources]
