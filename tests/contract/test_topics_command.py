"""`endocrine topics list|describe|create`."""

import json

import pytest
import typer
from typer.testing import CliRunner

from endocrine.pipeline.cli import topics
from endocrine.pipeline.core.catalogue import CATALOGUE


@pytest.fixture
def run(settings):
    app = typer.Typer()
    app.callback()(lambda: None)
    topics.register(app)
    env = {"ENDOCRINE_BOOTSTRAP": settings.bootstrap, "ENDOCRINE_PREFIX": settings.prefix}

    def call(*arguments, **more):
        return CliRunner().invoke(app, ["topics", *arguments], env={**env, **more})

    return call


def rows(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_list_shows_the_declared_topics_without_a_broker(run, prefix):
    result = run("list", "--json", ENDOCRINE_BOOTSTRAP="127.0.0.1:1")
    assert result.exit_code == 0
    names = [row["name"] for row in rows(result)]
    assert {prefix + name for name in CATALOGUE} < set(names)
    assert f"{prefix}changelog.modulation" in names


def test_create_then_describe_shows_all_as_declared(run, prefix):
    assert run("describe").exit_code == 1
    first, second = run("create", "--json"), run("create", "--json")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert rows(second)[0]["created"] == []
    assert rows(second)[0]["existing"] == rows(first)[0]["created"]
    described = run("describe", "--json")
    assert described.exit_code == 0
    assert {row["state"] for row in rows(described)} == {"ok"}
    one = run("describe", "journal")
    assert one.exit_code == 0
    assert one.stdout.splitlines()[1].startswith(f"{prefix}journal\t2\t0\tdelete\tok\t")


def test_a_topic_that_is_not_declared_is_an_error_that_names_it(run):
    result = run("describe", "singals")
    assert result.exit_code == 2
    assert "no topic 'singals'" in result.stderr


def test_another_partition_count_is_an_error_without_traceback(run):
    assert run("create").exit_code == 0
    result = run("create", ENDOCRINE_PARTITIONS="6")
    assert result.exit_code == 1
    assert "2 partitions, expected 6" in result.stderr
    assert "Traceback" not in result.stderr
