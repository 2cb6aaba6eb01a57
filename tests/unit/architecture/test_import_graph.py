"""Arrows go one way: pipeline -> agents -> schemas; what is pure reaches nothing of the world."""

import grimp
import pytest

WORLD = {
    # brokers, databases, networks
    *("faust", "mode", "aiokafka", "redis", "openai", "httpx", "requests", "aiohttp", "starlette", "noida_db"),
    *("socket", "ssl", "http", "urllib", "asyncio", "uvloop"),
    # clock and chance
    *("time", "random", "secrets", "uuid"),
    # the machine
    *("os", "io", "sys", "pathlib", "shutil", "tempfile", "subprocess", "threading", "multiprocessing", "logging"),
    *("structlog", "importlib", "signal", "fcntl"),
}


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("pipeline", "agents", "schemas", include_external_packages=True, cache_dir=None)


def imports_of(graph, package):
    """(importer, imported) for every import of a package's modules."""
    importers = {package} | graph.find_descendants(package)
    return {(importer, found) for importer in importers for found in graph.find_modules_directly_imported_by(importer)}


def outside(graph, package, forbidden):
    return sorted(f"{a} imports {b}" for a, b in imports_of(graph, package) if b.partition(".")[0] in forbidden)


def test_the_graph_is_the_real_one(graph):
    assert ("agents.roster", "agents.gating.agent") in imports_of(graph, "agents")
    assert ("pipeline.embedded", "aiokafka") in imports_of(graph, "pipeline")


def test_schemas_import_neither_agents_nor_pipeline_nor_the_world(graph):
    assert outside(graph, "schemas", {"agents", "pipeline", "config"} | WORLD) == []


def test_agents_import_neither_pipeline_nor_the_world(graph):
    assert outside(graph, "agents", {"pipeline", "config"} | WORLD) == []
