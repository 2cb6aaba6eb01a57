"""The OpenAPI document says what is accepted: of queries, of bodies, and of the OpenAI-compatible endpoint."""

from types import SimpleNamespace

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.gateway.app import ROWS
from endocrine.pipeline.gateway.callers import IDENTITY_SCHEMA, SUBJECT_SCHEMA, Caller, checked_identity
from endocrine.pipeline.gateway.idempotency import Slot
from endocrine.pipeline.gateway.openai.chat_request import NEUTRAL as CHAT_NEUTRAL
from endocrine.pipeline.gateway.openai.chat_request import parse_chat
from endocrine.pipeline.gateway.openai.described import described
from endocrine.pipeline.gateway.openai.endpoint import PREFIX, SERVED
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.openai.responses_request import NEUTRAL as RESPONSES_NEUTRAL
from endocrine.pipeline.gateway.openai.responses_request import parse_responses
from endocrine.pipeline.gateway.openapi import document
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.subject_commands import completed, subject_named

DOCUMENT = document(ROWS, "0", [described()])
SCHEMAS = DOCUMENT["components"]["schemas"]
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
RESPONSES = {"model": "m", "input": "hello"}


def fits(name, value):
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def test_the_document_is_valid_and_names_what_the_endpoint_serves():
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    served = {
        f"{method.upper()} {path.removeprefix(PREFIX)}".replace("{model}", "{id}")
        for path, item in DOCUMENT["paths"].items()
        for method in item
        if path.startswith(PREFIX) and method != "parameters"
    }
    assert served == set(SERVED)
    assert not [name for name in SCHEMAS if name.startswith("_")]


def test_every_body_is_an_object_of_known_members():
    names = {row.body for row in ROWS if row.body and not row.batch}
    assert len(names) > 10
    forms = [form for name in names for form in SCHEMAS[name].get("anyOf", [SCHEMAS[name]])]
    objects = [SCHEMAS[form["$ref"].rpartition("/")[2]] if "$ref" in form else form for form in forms]
    assert {one["additionalProperties"] for one in objects} == {False}


def test_the_document_that_is_served_names_the_categories_of_the_policy():
    made = document(ROWS, "0", categories=["status", "decision"])
    assert made["components"]["schemas"]["TrustedStateRequest"]["properties"]["category"]["enum"] == [
        "status",
        "decision",
    ]
    assert "enum" not in SCHEMAS["TrustedStateRequest"]["properties"]["category"]


BODIES = [
    ({}, True),
    ({"tools": [{"type": "function", "function": {"name": "weather"}}]}, True),
    ({"n": 1, "store": False, "logit_bias": None}, True),
    ({"n": 2}, False),
    ({"store": True}, False),
    ({"temperature": 2.5}, False),
    ({"nobody": 1}, False),
    ({"messages": []}, False),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, True),
    ({"messages": [{"role": "nobody", "content": "a"}]}, False),
]


@pytest.mark.parametrize(("more", "accepted"), BODIES)
def test_the_document_and_the_endpoint_accept_the_same_chat_requests(more, accepted):
    assert fits("ChatRequest", CHAT | more) is accepted
    assert _taken(parse_chat, orjson.dumps(CHAT | more)) is accepted


@pytest.mark.parametrize(
    ("more", "accepted"),
    [
        ({}, True),
        ({"input": [{"role": "user", "content": "a"}]}, True),
        ({"input": [{"type": "message", "role": "user", "content": "a"}]}, True),
        ({"input": [{"type": "item_reference", "id": "a"}]}, False),
        ({"store": False, "include": []}, True),
        ({"previous_response_id": "resp_1"}, False),
        ({"background": True}, False),
    ],
)
def test_the_document_and_the_endpoint_accept_the_same_responses(more, accepted):
    assert fits("ResponsesRequest", RESPONSES | more) is accepted
    assert _taken(parse_responses, orjson.dumps(RESPONSES | more)) is accepted


@pytest.mark.parametrize(("name", "neutral"), [("ChatRequest", CHAT_NEUTRAL), ("ResponsesRequest", RESPONSES_NEUTRAL)])
def test_every_member_that_changes_nothing_is_in_the_document(name, neutral):
    assert neutral.keys() <= SCHEMAS[name]["properties"].keys()


def test_queries_have_the_bounds_that_are_checked():
    found = {
        one["name"]: one["schema"]
        for item in DOCUMENT["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
        for one in operation.get("parameters", ())
        if one["in"] == "query"
    }
    free = {name for name, schema in found.items() if schema == {"type": "string"}}
    # phase and risk are a detector's own terms, which no list bounds (schemas.bonds.Detection).
    assert free == {"kind", "tool", "mode", "project", "phase", "risk", "session_id", "client"}


def test_what_the_door_fills_in_may_be_left_out():
    observation = {"primitive": "a.b", "value": 1, "confidence": 0.5, "window": {"start_ts": 0, "end_ts": 1}}
    assert fits("Observation", observation | {"source": "s"})
    assert fits("TurnRequest", {"prompt": "?"})
    assert not fits("TurnRequest", {"prompt": "?", "identity": "project:a"})
    assert not fits("CommandRequest", {"identity": "$registry"})


def _taken(parse, content):
    try:
        parse(content)
    except Refused:
        return False
    return True


@given(
    st.text(max_size=5)
    | st.sampled_from(["\x1c", "\x85 ", "\u3000", " a ", "\na", "project:a", "Project:a", " $", "$", "a$"])
)
def test_an_identity_is_accepted_where_the_document_says_so(named):
    schema = jsonschema.Draft202012Validator(IDENTITY_SCHEMA)
    try:
        checked_identity(NameTable(), named)
    except Problem:
        assert not schema.is_valid(named)
    else:
        assert schema.is_valid(named)


SUBJECTS = [
    "project:p",
    " Project: p",
    "project:",
    "project: ",
    "project:" + "p" * 200,
    "project:" + "p" * 201,
    "$",
    " $x",
]


@given(st.text(max_size=5) | st.sampled_from(SUBJECTS))
def test_a_subject_is_accepted_where_the_document_says_so(named):
    schema = jsonschema.Draft202012Validator(SUBJECT_SCHEMA)
    try:
        subject_named(SimpleNamespace(names=NameTable()), Caller("c"), named)
    except Problem:
        assert not schema.is_valid(named)
    else:
        assert schema.is_valid(named)


def test_what_must_be_named_is_required_and_ids_in_paths_have_their_form():
    def parameters(method, path):
        return {one["name"]: one for one in DOCUMENT["paths"][path][method]["parameters"]}

    assert parameters("get", "/v1/conflicts")["subject"]["required"]
    assert not parameters("get", "/v1/conflicts")["status"]["required"]
    ended = parameters("delete", "/v1/trusted/{subject}")
    assert [ended[name]["required"] for name in ("category", "key", "reason")] == [True, True, False]
    for path, item in DOCUMENT["paths"].items():
        for one in item.get("parameters", ()):
            if one["name"] in ("memory_id", "conflict_id", "subject", "identity"):
                assert "pattern" in one["schema"], path


def test_a_member_of_a_command_that_is_null_is_left_out():
    slot = Slot("", "seed", 7.0, keyed=False, again=False)
    given = {"kind": "state_set", "value": "v", "source": None, "ts": None, "id": None, "by": None}
    value = completed(Caller("ops"), slot, "ann", given)
    assert value == {"kind": "state_set", "value": "v", "identity": "ann", "ts": 7.0, "id": "door-seed", "by": "ops"}
