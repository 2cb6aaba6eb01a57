"""The exported schemas: official metaschemas accept them, and they say what our validators do."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.data.asyncapi import export
from endocrine.pipeline.data.asyncapi.asyncapi import asyncapi
from endocrine.pipeline.kafka.topic_layout import physical_topics
from endocrine.pipeline.process.settings import Settings

DATA = Path(__file__).parents[2] / "data" / "asyncapi"
AGENTS = (
    SimpleNamespace(name="bonds", sources=("detections", "commands", "modulations"), targets=("bonds", "bond-events")),
    SimpleNamespace(name="attribution", sources=("observations",), targets=("attribution-states",)),
)


@pytest.fixture(scope="module")
def settings():
    return Settings()


@pytest.fixture(scope="module")
def document(settings):
    return asyncapi(settings, AGENTS)


@pytest.fixture(scope="module")
def official():
    """The official schema of AsyncAPI 3.0.0; see tests/data/asyncapi/README.md."""
    schema = json.loads((DATA / "asyncapi-3.0.0.json").read_bytes())
    return jsonschema.Draft7Validator(schema)


@pytest.fixture(scope="module")
def folder(settings, tmp_path_factory):
    where = tmp_path_factory.mktemp("export") / "made" / "by export"
    export(where, settings, AGENTS)
    return where


def schema_of(folder, topic):
    return json.loads((folder / f"{topic}-value.json").read_bytes())


def test_there_is_one_file_per_topic_and_the_document(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*(f"{topic}-value.json" for topic in CATALOGUE), "asyncapi.json"]
    )


@pytest.mark.parametrize("topic", CATALOGUE)
def test_a_schema_is_valid_draft_2020_12_and_names_its_subject(folder, topic):
    schema = schema_of(folder, topic)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:endocrine:{topic}-value"
    assert schema["title"] == f"endocrine.{topic}-value"
    assert schema["description"]


GOOD = [
    ("signals", {"identity": "a", "name": "stress", "level": 0.5, "ttl_ms": 0, "source": "s", "ts": 1.0}),
    ("commands", {"kind": "set_cap", "identity": "a", "by": "op", "ts": 1.0, "cap": 3}),
    ("feedback", {"identity": "a", "target_action_id": "t", "rating": 4, "ts": 1.0}),
    ("bonds", {"user_id": "a"}),
    (
        "attribution-changes",
        {"kind": "multi_actor_suspected", "identity": "a", "primitives": ["x", "y"], "confidence": 0.6, "ts": 1.0},
    ),
]
BAD = [
    ("signals", {"level": "0.5"}),
    ("signals", {"name": "joy"}),
    ("signals", {"surprise": 1}),
    ("signals", {"ttl_ms": -1}),
    ("commands", {"kind": "explode"}),
    ("commands", {"cap": -1}),
    ("feedback", {"rating": 7}),
    ("feedback", {"symbols": ["\U0001f44d"]}),
    ("bonds", {"notes": ["n"] * 21}),
    ("attribution-changes", {"primitives": ["x"]}),
]


@pytest.mark.parametrize(("topic", "value"), GOOD)
def test_what_our_validator_takes_the_schema_takes(folder, topic, value):
    CATALOGUE[topic].adapter.validate_python(value)
    jsonschema.Draft202012Validator(schema_of(folder, topic)).validate(value)


@pytest.mark.parametrize(("topic", "change"), BAD)
def test_what_our_validator_refuses_the_schema_refuses(folder, topic, change):
    value = dict(GOOD)[topic] | change
    assert not jsonschema.Draft202012Validator(schema_of(folder, topic)).is_valid(value)


def test_a_step_of_lineage_is_described_by_its_name_on_the_wire(folder):
    step = schema_of(folder, "modulations")["$defs"]["Step"]
    assert "from" in step["properties"]
    assert "from_" not in step["properties"]


def test_the_document_is_valid_asyncapi_3(document, official):
    assert [error.message for error in official.iter_errors(document)] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda doc: doc.pop("info"),
        lambda doc: doc.update(asyncapi="2.6.0"),
        lambda doc: doc["operations"]["bonds.receive.commands"].update(action="subscribe"),
        lambda doc: doc["channels"]["signals"].update(topic="signals"),
        lambda doc: doc["channels"]["signals"]["bindings"]["kafka"].update(partitions=0),
        lambda doc: doc["components"]["schemas"]["value.bonds"].update(type="map"),
    ],
)
def test_the_official_schema_notices_a_mistake(document, official, spoil):
    spoilt = copy.deepcopy(document)
    spoil(spoilt)
    assert not official.is_valid(spoilt)


def test_every_reference_leads_somewhere(document):
    def references(node):
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            node = list(node.values())
        if isinstance(node, list):
            for inner in node:
                yield from references(inner)

    found = set(references(document))
    assert len(found) > 2 * len(CATALOGUE)
    for reference in found:
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_channels_are_the_topics_as_they_are_created(document, settings):
    created = {topic.name: topic for topic in physical_topics(settings, ())}
    addresses = {channel["address"]: channel["bindings"]["kafka"] for channel in document["channels"].values()}
    assert addresses.keys() == created.keys()
    for name, binding in addresses.items():
        assert binding["topic"] == name
        assert binding["partitions"] == settings.partitions
        configuration = binding["topicConfiguration"]
        assert configuration["cleanup.policy"] == [created[name].configs["cleanup.policy"]]
        assert str(configuration.get("retention.ms", "")) == created[name].configs.get("retention.ms", "")


def test_prefix_and_partitions_of_a_deployment_show(settings):
    other = asyncapi(settings.model_copy(update={"prefix": "x.", "partitions": 7}), AGENTS)
    assert other["channels"]["signals"]["address"] == "x.signals"
    assert other["channels"]["signals.dlq"]["bindings"]["kafka"]["partitions"] == 7
    assert other["components"]["messages"]["signals"]["title"] == "x.signals-value"


def headers(document, message):
    node = document["components"]["messages"][message]["headers"]
    merged = {"properties": {}, "required": []}
    for part in [node, *node.get("allOf", [])]:
        part = document["components"]["schemas"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        merged["properties"] |= part.get("properties", {})
        merged["required"] += part.get("required", [])
    return merged


CLOUDEVENTS = {
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_specversion",
    "ce_time",
    "ce_subject",
    "content-type",
    "traceparent",
}
OURS = {"endocrine-origin", "endocrine-cut", "endocrine-policy", "endocrine-version"}


def test_headers_are_optional_where_others_produce_and_complete_where_we_derive(document):
    produced, derived = headers(document, "detections"), headers(document, "bonds")
    assert produced["properties"].keys() >= CLOUDEVENTS
    assert produced["required"] == []
    assert not produced["properties"].keys() & OURS
    assert derived["properties"].keys() >= CLOUDEVENTS | OURS
    assert set(derived["required"]) == (CLOUDEVENTS | OURS) - {"ce_time", "traceparent"}
    assert derived["properties"]["ce_type"]["const"] == "endocrine.bonds.v1"
    assert {"endocrine-error", "endocrine-error-kind"} <= headers(document, "signals.dlq")["properties"].keys()


def test_operations_say_who_reads_and_writes_what(document):
    operations = document["operations"]
    assert {name for name in operations if name.startswith("attribution.")} == {
        "attribution.receive.observations",
        "attribution.send.attribution-states",
        "attribution.send.journal",
        "attribution.send.observations.dlq",
    }
    assert operations["bonds.receive.commands"]["action"] == "receive"
    assert operations["bonds.send.bonds"]["channel"] == {"$ref": "#/channels/bonds"}
    # It reads modulations, whose dead letters are their owner's to write.
    assert "bonds.send.modulations.dlq" not in operations


def test_the_same_settings_give_the_same_bytes_in_another_process(folder, tmp_path):
    code = (
        "import sys; from pathlib import Path; from types import SimpleNamespace as N\n"
        "from endocrine import Settings; from endocrine.pipeline.data.asyncapi import export\n"
        f"export(Path(sys.argv[1]), Settings(), [N(**vars) for vars in {[vars(agent) for agent in AGENTS]!r}])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_a_second_export_writes_over_the_first_and_leaves_other_files_alone(folder, tmp_path, settings):
    shutil.copytree(folder, tmp_path / "again")
    (tmp_path / "again" / "notes.txt").write_text("mine")
    (tmp_path / "again" / "bonds-value.json").write_text("old")
    export(tmp_path / "again", settings, AGENTS)
    assert (tmp_path / "again" / "notes.txt").read_text() == "mine"
    assert schema_of(tmp_path / "again", "bonds")["title"] == "endocrine.bonds-value"
