"""Approvals, memories, conflicts and forms: what is offered, what is refused, and that all of it is text."""

import math
import re
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import nodes

from endocrine.agents._shared.arguments import digest_of
from endocrine.agents.conflicts.slot import LAYERS
from endocrine.pipeline.console import actions
from endocrine.pipeline.console.paging import paged
from endocrine.pipeline.console.screens import approvals, conflicts, memory
from endocrine.pipeline.console.templates import _environment, duration
from endocrine.pipeline.gateway import pending
from endocrine.pipeline.gateway.pending import arguments_of, fits
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis.waiting import Waiting, _still, member_of
from properties import examples

MAY = SimpleNamespace(may=lambda scope: True, caller=SimpleNamespace(scopes={"read", "content"}))
MAY_NOT = SimpleNamespace(may=lambda scope: False, caller=SimpleNamespace(scopes={"read"}))
CONSOLE = SimpleNamespace(gateway=SimpleNamespace(policy=shipped_policy()))


def waiting(kind="call", **parts):
    return Waiting(kind, "ann", "a1", "c1" if kind == "call" else None, 100.0, parts)


@settings(max_examples=examples(50))
@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_names_in_a_form_come_back_as_they_were_whatever_they_hold(names):
    text = actions.packed(*names)
    assert text.isascii()
    assert actions.unpacked({"named": text}, "named", len(names)) == names
    with pytest.raises(Problem, match="load the page again"):
        actions.unpacked({"named": text}, "named", len(names) + 1)


@pytest.mark.parametrize("text", ["", "?", "bm9uZQ==", "e30=", "WzFd", "Ww=="])
def test_a_field_that_no_page_sent_is_refused(text):
    with pytest.raises(Problem, match="load the page again"):
        actions.unpacked({"named": text}, "named", 1)


@pytest.mark.parametrize(("text", "share"), [("", None), ("0", 0.0), ("0.5", 0.5), ("1", 1.0)])
def test_a_share_is_read(text, share):
    assert actions.share_of({"confidence": text}, "confidence") == share


@pytest.mark.parametrize("text", ["-0.1", "1.1", "nan", "inf", "x", "0,5"])
def test_what_is_no_share_is_refused_by_the_name_of_its_field(text):
    with pytest.raises(Problem, match="confidence: expected a number from 0 to 1"):
        actions.share_of({"confidence": text}, "confidence")


def test_a_text_is_cut_and_refused_where_it_is_too_long_or_missing():
    assert actions.text_of({"reason": "  a\r\nb "}, "reason", 10) == "a\nb"
    assert actions.text_of({}, "reason", 10) is None
    for form, required in (({"reason": "x" * 11}, False), ({"reason": " "}, True)):
        with pytest.raises(Problem, match="reason: expected"):
            actions.text_of(form, "reason", 10, required=required)


def test_what_was_answered_or_closed_does_not_wait_any_more():
    assert _still(waiting())
    assert _still(waiting(**{"call/c1": {"decision": "pending"}}))
    assert not _still(waiting(**{"call/c1": {"decision": "allowed"}}))
    assert not _still(waiting(closed={}))
    assert _still(waiting("turn", modulation={"refusal": "held"}))
    assert not _still(waiting("turn", modulation={"refusal": None}))


def test_a_filter_leaves_its_kind_and_its_identity():
    one = waiting()
    assert fits(one, None, None) is fits(one, "call", "ann") is one
    assert fits(one, "turn", None) is fits(one, None, "bob") is fits(None, None, None) is None


def test_only_the_arguments_that_were_decided_on_are_shown():
    call = {"arguments": '{"query": "refunds"}'}
    decided = waiting(**{"call/c1": {"arguments_digest": digest_of({"query": "refunds"})}})
    assert arguments_of(CONSOLE.gateway.policy.of, decided, call) == {"query": "refunds"}
    assert arguments_of(CONSOLE.gateway.policy.of, decided, {"arguments": {"query": "all"}}) is None
    unreadable = waiting(**{"call/c1": {"arguments_digest": None}})
    assert arguments_of(CONSOLE.gateway.policy.of, unreadable, {"arguments": "{"}) is None


async def test_a_call_without_a_place_is_found_by_its_id_and_a_copy_with_other_arguments_is_not_shown(monkeypatch):
    call = {"call_id": "c1", "audit_id": "a1", "identity": "ann", "tool": "t", "step": 1, "ts": 1.0}
    made = [call | {"arguments": {"query": text}} for text in ("forged", "refunds")]
    raws = [("tool-calls", SimpleNamespace(value=orjson.dumps(one))) for one in made]

    async def newest(_, meant, limit, most):
        (keys,) = meant
        assert (keys.topic, keys.keys, limit >= 2, most <= 20_000) == ("tool-calls", {"ann"}, True, True)
        return SimpleNamespace(records=raws)

    async def nothing_there(*_):
        return {}

    monkeypatch.setattr(approvals.timeline, "newest", newest)
    monkeypatch.setattr(pending, "records_at", nothing_there)
    decided = {"arguments_digest": digest_of({"query": "refunds"}), "call_at": None}
    gateway = SimpleNamespace(policy=shipped_policy(), settings=Settings())
    texts, away = await approvals._texts(SimpleNamespace(gateway=gateway), MAY, [waiting(**{"call/c1": decided})])
    assert not away
    assert orjson.loads(texts[0]) == {"query": "refunds"}


def test_a_deadline_that_passed_leaves_no_time_and_the_name_in_the_form_is_the_lists():
    shown = approvals._shown(waiting(), None, now=150.0)
    assert (shown["left"], duration(shown["left"])) == (0, "time is up")
    assert member_of(*actions.unpacked(shown, "named", 4)) == member_of("call", "ann", "a1", "c1")
    assert approvals._shown(waiting("turn"), None, now=10.0)["left"] == 90


def member(layer, name, value, status="active"):
    return {"layer": layer, "id": name, "value": value, "status": status, "since": 1.0}


CONFLICT = {"conflict_id": "c", "subject": "ann", "slot": "tea", "status": "open", "preferred": "state:fact/tea",
            "members": [member("state", "state:fact/tea", "Black"), member("memory", "m-1", "green"),
                        member("memory", "m-2", "black ")],
            "action": None, "winner": None, "reason": None, "opened_ts": 1.0, "by": "op", "ts": 1.0}  # fmt: skip


def test_sides_have_the_authority_of_their_layer_and_nothing_wins_over_trusted_state():
    assert tuple(conflicts.AUTHORITY) == LAYERS
    sides = conflicts._shown(MAY, CONFLICT)["sides"]
    assert [(one["rank"], one["preferred"], one["may_win"]) for one in sides] == [
        (1, True, True),
        (4, False, False),
        (4, False, True),  # it has the same value as the state
    ]
    hidden = conflicts._shown(MAY_NOT, CONFLICT | {"reason": "because"})
    assert [one["value"] for one in hidden["sides"]] == [None] * 3
    assert hidden["reason"] is None


def memories(count):
    return [{"created_ts": float(place // 2), "memory_id": f"m{place:03d}"} for place in range(count)]


@pytest.mark.parametrize("count", [0, 1, memory.PAGE, memory.PAGE + 1, 3 * memory.PAGE + 2])
def test_memories_of_a_subject_are_paged_without_a_gap(count):
    found, shown, query = memories(count), [], {}
    while True:
        page = paged(found, memory._place, query, memory.PAGE)
        shown += page.items
        if page.next is None:
            break
        query = {"cursor": page.next["cursor"]}
    assert shown == found


def test_what_was_not_changed_in_an_edit_is_not_sent_and_the_version_guards_it():
    form = {"content": " new ", "confidence": "0.5", "confidence_was": "0.5", "version": "3"}
    assert memory._edited(form) == {"content": "new", "confidence": None, "version": 3}
    assert memory._edited(form | {"confidence": "0.6"})["confidence"] == 0.6
    for wrong in ({"version": "x"}, {"version": ""}, {"content": " "}, {"confidence": "2"}):
        with pytest.raises(Problem):
            memory._edited(form | wrong)


@settings(max_examples=examples(50))
@given(st.floats(0, 1))
def test_a_confidence_is_never_shown_above_what_it_is(confidence):
    one = {"subject": "ann", "memory_id": "m", "status": "active", "confidence": confidence}
    shown = memory._shown(MAY, one)
    assert shown["confidence_shown"] <= confidence
    assert math.isclose(shown["confidence_shown"], confidence, abs_tol=0.00101)
    assert shown["offered"] == ("invalidate",)


NEW = ("approvals", "memory", "conflicts", "trusted", "timeline", "identity", "bonds", "memory_parts")


@pytest.mark.parametrize("name", NEW)
def test_no_template_marks_what_it_shows_as_safe_or_holds_styles_or_scripts(name):
    environment = _environment()
    source, _, _ = environment.loader.get_source(environment, f"{name}.html")
    assert "safe" not in {node.name for node in environment.parse(source).find_all(nodes.Filter)}
    assert not re.search(r"<script|\sstyle=|\son[a-z]+=|autoescape", source)
