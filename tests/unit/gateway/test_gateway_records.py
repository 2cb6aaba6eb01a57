"""From a request's body to a record: what may be left out, what must be right although it is replaced."""

import pytest
from starlette.requests import Request

from endocrine.pipeline.gateway.callers import Caller
from endocrine.pipeline.gateway.idempotency import Slot
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.records import filled
from endocrine.pipeline.gateway.subject_commands import completed

KEYED = Slot("name", "seed", 7.0, keyed=True, again=False)
PLAIN = Slot("", "seed", 7.0, keyed=False, again=False)


def request(**headers):
    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": pairs})


def record(given, slot=PLAIN, topic="feedback", caller=None, **headers):
    return filled(topic, given, request(**headers), caller or Caller("shop"), slot)


def test_a_member_that_is_null_is_left_out():
    given = {"identity": None, "id": None, "ts": None, "note": None, "rating": 3}
    assert record(given, endocrine_identity="ann") == {
        "identity": "ann", "id": "door-seed", "ts": 7.0, "rating": 3,
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [{}, 7, "", "x" * 257, False])
def test_an_id_that_the_key_replaces_must_be_one(wrong):
    with pytest.raises(Problem) as caught:
        record({"identity": "ann", "id": wrong}, KEYED)
    assert (caught.value.kind, caught.value.field) == ("invalid", "id")
    assert record({"identity": "ann", "id": "mine"}, KEYED)["id"] == "door-seed"


@pytest.mark.parametrize("wrong", [{}, 7, "", "x" * 257, False])
@pytest.mark.parametrize("field", ["id", "by"])
def test_what_the_key_replaces_in_a_command_must_be_right_too(field, wrong):
    with pytest.raises(Problem) as caught:
        completed(Caller("shop"), KEYED, "ann", {"kind": "reject", field: wrong})
    assert (caught.value.kind, caught.value.field) == ("invalid", field)
    assert completed(Caller("shop"), KEYED, "ann", {field: "mine"})[field] == {"id": "door-seed", "by": "shop"}[field]


@pytest.mark.parametrize("topic", ["feedback", "observations"])
@pytest.mark.parametrize("other", ["user_id", "user", "identity"])
def test_an_identity_is_named_once_or_always_the_same(topic, other):
    own = "identity_ref" if topic == "observations" else "identity"
    if other == own:
        return
    assert record({own: "ann", other: "ann"}, topic=topic)[own] == "ann"
    for wrong in ("bob", "$registry", {}, 7):
        with pytest.raises(Problem) as caught:
            record({own: "ann", other: wrong}, topic=topic)
        assert (caught.value.kind, caught.value.field) == ("invalid", other)


def test_a_key_that_takes_the_identity_from_the_body_takes_it_from_nowhere_else():
    caller = Caller("shop", identity_from="user")
    assert record({"user": "ann"}, caller=caller)["identity"] == "ann"
    for given, headers in (({}, {}), ({"user": "ann"}, {"endocrine_identity": "ann"})):
        with pytest.raises(Problem) as caught:
            record(given, caller=caller, **headers)
        assert caught.value.kind == "invalid"


def test_a_header_that_is_no_identity_is_refused_where_the_body_names_one_too():
    assert record({"identity": "ann"}, endocrine_identity="bob")["identity"] == "ann"
    with pytest.raises(Problem) as caught:
        record({"identity": "ann"}, endocrine_identity="x" * 257)
    assert caught.value.kind == "invalid"
