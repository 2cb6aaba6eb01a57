"""Dead letters alone: what is told of them, what is hidden, and how they are sent again."""

from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endocrine.agents._shared.redaction import REDACTED
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli import dlq
from endocrine.pipeline.core.batch import Engine
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.data.dead_letters.act import action_of, again
from endocrine.pipeline.data.dead_letters.letters import TOPICS, Shelf, letter_of
from endocrine.pipeline.data.dead_letters.select import Filter, counts, parse_place, row
from endocrine.pipeline.data.dead_letters.show import summary
from endocrine.pipeline.process.policy_files import shipped_policy

RULES = shipped_policy().document.gating
SEALS = simulated_seals()
GOOD = {"identity": "ann", "name": "stress", "level": 0.5, "ttl_ms": 800, "source": "probe", "ts": 1.0}
PLACE = partition_of("ann", 4)
MODULATION = next(agent for agent in AGENTS if agent.name == "modulation")


def refused(value: bytes, *, key: bytes | None = b"ann", headers=(), offset=7, dlq_offset=0):
    """The dead letter that the engine makes of a record of `signals`."""
    engine = Engine(MODULATION, 4, "1", Sizes(), simulated_seals())
    raw = Fetched(PLACE, offset, 1000, key, value, headers)
    done = engine.process([("signals", raw)], shipped_policy(), lambda key: None, {}, partition=PLACE)
    (out,) = done.rejected_or_rerouted
    assert out.topic == "signals.dlq"
    return Fetched(out.partition, dlq_offset, 2000, out.key, out.value, out.own)


def test_a_letter_tells_kind_length_identity_and_the_id_of_the_first_copy():
    letter = letter_of("signals.dlq", refused(orjson.dumps({**GOOD, "name": "joy"})))
    assert (letter.kind, letter.identity, letter.id) == ("invalid", "ann", f"signals/{PLACE}/7")
    assert letter.origin == ("signals", PLACE, 7)
    shown = row(letter)
    assert shown["place"] == f"signals.dlq/{PLACE}/0"
    assert (shown["time"], shown["status"]) == ("1970-01-01T00:00:02.000Z", "open")
    assert shown["bytes"] == len(orjson.dumps({**GOOD, "name": "joy"}))


def test_a_record_is_sent_again_with_its_bytes_and_without_what_the_refusal_added():
    headers = (("traceparent", b"00-1"), ("endocrine-rekeyed-from", b"signals/3/1"))
    raw = refused(b"{nothing", headers=headers)
    out = again(letter_of("signals.dlq", raw), raw, "op", 5.0, SEALS)
    assert (out.topic, out.partition, out.key, out.value) == ("signals", PLACE, b"ann", b"{nothing")
    assert dict(out.own) == {
        "traceparent": b"00-1",
        "ce_id": f"signals/{PLACE}/7".encode(),
        "endocrine-redriven-by": b"op",
        "endocrine-redriven-at": b"1970-01-01T00:00:05.000000Z",
        "endocrine-redriven-from": f"signals.dlq/{PLACE}/0".encode(),
    }


@pytest.mark.parametrize(
    ("value", "headers", "named"),
    [
        ({**GOOD, "id": "s1", "name": "joy"}, (), None),
        ({**GOOD, "name": "joy"}, (("ce_id", b"c1"),), b"c1"),
        ({**GOOD, "id": 5}, (), f"signals/{PLACE}/7".encode()),
    ],
)
def test_the_original_id_is_kept_wherever_it_stood(value, headers, named):
    raw = refused(orjson.dumps(value), headers=headers)
    assert dict(again(letter_of("signals.dlq", raw), raw, "op", 5.0, SEALS).own).get("ce_id") == named


@given(st.binary(max_size=60).filter(lambda value: value[:1] != b"{"), st.one_of(st.none(), st.binary(max_size=8)))
def test_whatever_was_refused_comes_back_byte_for_byte_and_is_refused_the_same_way(value, key):
    raw = refused(value, key=key)
    out = again(letter_of("signals.dlq", raw), raw, "op", 5.0, SEALS)
    assert (out.value, out.key) == (value, key)
    second = refused(out.value or b"", key=out.key, headers=out.own, offset=9, dlq_offset=1)
    letter = letter_of("signals.dlq", second)
    assert letter.id == f"signals/{PLACE}/7"
    assert letter.origin == ("signals", PLACE, 9)
    names = [name for name, _ in again(letter, second, "op2", 6.0, SEALS).own]
    assert len(names) == len(set(names))


def test_a_redriven_record_is_thought_and_its_outputs_bear_the_first_id():
    """As if a fixed reader met it: the engine takes it for an original, under its first id."""
    opened = {
        "kind": "opened", "audit_id": "t1", "identity": "ann", "session_id": "s", "turn": 0, "client": "c",
        "prompt": "Hello?", "ts": 1.0,
    }  # fmt: skip
    headers = (
        ("endocrine-error", b"no"),
        ("endocrine-error-kind", b"agent_error"),
        ("endocrine-origin", f"modulation/interactions/{PLACE}/7/0".encode()),
    )
    raw = Fetched(PLACE, 0, 2000, b"ann", orjson.dumps(opened), headers)
    out = again(letter_of("interactions.dlq", raw), raw, "op", 5.0, SEALS)
    engine = Engine(MODULATION, 4, "1", Sizes(), simulated_seals())
    landed = Fetched(PLACE, 30, 3000, out.key, out.value, out.own)
    marks = {f"interactions<modulation/interactions/{PLACE}": (20, 0)}
    done = engine.process([("interactions", landed)], shipped_policy(), lambda key: None, marks, partition=PLACE)
    assert done.tally.prepared == 1
    ids = [dict(said.own)["ce_id"].decode() for said in done.outputs]
    assert ids
    assert all(name.startswith(f"modulation/interactions/{PLACE}/7/") for name in ids)


def test_copies_of_a_dead_letter_are_told_once_and_an_action_on_one_holds_for_it():
    shelf = Shelf()
    first, copy = refused(b"{"), refused(b"{", dlq_offset=3)
    shelf.add("signals.dlq", first)
    shelf.add("signals.dlq", copy)
    action = action_of(letter_of("signals.dlq", copy), "redrive", "op", None, 9.0)
    shelf.add("dlq-actions", SimpleNamespace(value=orjson.dumps(action.model_dump())))
    (letter,) = shelf.settled()
    assert (letter.offset, letter.copies, letter.status) == (0, 1, "redriven")


def test_the_last_action_is_the_status_and_foreign_records_among_actions_do_not_matter():
    shelf = Shelf()
    raw = refused(b"{")
    shelf.add("signals.dlq", raw)
    letter = letter_of("signals.dlq", raw)
    for action, at in (("discard", 9.0), ("redrive", 4.0)):
        shelf.add(
            "dlq-actions", SimpleNamespace(value=orjson.dumps(action_of(letter, action, "op", "x", at).model_dump()))
        )
    shelf.add("dlq-actions", SimpleNamespace(value=b"{"))
    assert [letter.status for letter in shelf.settled()] == ["discarded"]


def test_secrets_and_texts_are_hidden_unless_asked_for_and_unreadable_bytes_are_not_shown():
    value = {**GOOD, "name": "joy", "api_key": "k-1", "prompt": "what I wrote", "deep": [{"token": "t-1"}]}
    raw = refused(orjson.dumps(value), headers=(("authorization", b"Bearer b-1"),))
    letter = letter_of("signals.dlq", raw)
    shown = orjson.dumps(summary(letter, raw, RULES, bare=False)).decode()
    for secret in ("k-1", "t-1", "b-1", "what I wrote"):
        assert secret not in shown, secret
    assert "[12 characters]" in shown
    bare = summary(letter, raw, RULES, bare=True)
    assert (bare["encoding"], bare["value"]) == ("text", orjson.dumps(value).decode())
    broken = refused(b'{"password": "p-1"')
    assert "p-1" not in orjson.dumps(summary(letter_of("signals.dlq", broken), broken, RULES, bare=False)).decode()
    binary = refused(b"\xff\x00")
    assert summary(letter_of("signals.dlq", binary), binary, RULES, bare=True)["value"] == "ff00"


def test_a_reason_keeps_the_kind_of_a_value_and_hides_what_others_quote_of_it():
    raw = refused(orjson.dumps({**GOOD, "level": "high"}))
    shown = summary(letter_of("signals.dlq", raw), raw, RULES, bare=False)
    assert shown["reason"].endswith("level: Input should be a valid number, got a string of 4 characters")
    quoted = [("endocrine-error", b"level: wrong, got 'hunter2'; name: wrong, got a list of 2; x: y, got null hunter2")]
    raw = Fetched(PLACE, 3, 2000, b"ann", b"{", quoted)
    shown = summary(letter_of("signals.dlq", raw), raw, RULES, bare=False)
    assert shown["reason"] == "level: wrong, got [redacted]; name: wrong, got a list of 2; x: y, got [redacted]"


def test_an_empty_value_and_none_are_said_to_be_so(monkeypatch, capsys):
    for value, said in ((b"", "value: (empty)"), (None, "value: (none)")):
        raw = Fetched(PLACE, 3, 2000, b"ann", value, ())
        monkeypatch.setattr(dlq, "settings_of", lambda bootstrap, **_: None)
        monkeypatch.setattr(dlq, "_one", lambda *asked, raw=raw: (letter_of("signals.dlq", raw), raw))
        dlq.show("signals/0/0")
        assert said in capsys.readouterr().out


def test_a_place_may_have_the_prefix_of_topics():
    assert parse_place("endocrine.signals.dlq/2/1", "endocrine.") == parse_place("signals/2/1") == ("signals.dlq", 2, 1)


NULLS = (("ce_id", None), ("traceparent", None), ("endocrine-rekeyed-from", None), ("mine", None))


@pytest.mark.parametrize(("header", "expected"), [(b"signals/3/17", "signals/3/17"), (b"hunter2", REDACTED)])
def test_the_place_a_misfit_came_from_is_shown_though_key_is_part_of_its_name(header, expected):
    raw = refused(b"no json", headers=(("endocrine-rekeyed-from", header),))
    shown = summary(letter_of("signals.dlq", raw), raw, RULES, bare=False)
    assert shown["headers"]["endocrine-rekeyed-from"] == expected


def test_null_headers_of_a_dead_letter_are_sent_again_as_null_and_a_null_id_gives_way_to_the_first():
    raw = refused(b"{", headers=NULLS)
    letter = letter_of("signals.dlq", raw)
    assert (letter.id, letter.kind) == (f"signals/{PLACE}/7", "not_json")
    own = again(letter, raw, "op", 5.0, SEALS).own
    assert own[:3] == (("traceparent", None), ("mine", None), ("ce_id", f"signals/{PLACE}/7".encode()))
    assert [name for name, _ in own[3:]] == [f"endocrine-redriven-{what}" for what in ("by", "at", "from")]


@pytest.mark.parametrize("bare", [True, False])
def test_null_headers_are_shown_as_null(bare):
    raw = refused(b"{", headers=NULLS)
    shown = summary(letter_of("signals.dlq", raw), raw, RULES, bare=bare)
    assert [shown["headers"][name] for name in ("ce_id", "traceparent", "mine")] == [None, None, None]
    assert "not JSON" in shown["headers"]["endocrine-error"]


def test_null_headers_are_printed_as_such(monkeypatch, capsys):
    raw = refused(b"{", headers=NULLS)
    monkeypatch.setattr(dlq, "_one", lambda *asked: (letter_of("signals.dlq", raw), raw))
    dlq.show("signals/0/0")
    assert "header mine: (null)\n" in capsys.readouterr().out


def test_a_foreign_dead_letter_whose_reason_and_origin_are_null_is_told_as_one_without():
    nulls = [(name, None) for name in ("ce_id", "endocrine-error", "endocrine-error-kind", "endocrine-origin")]
    raw = Fetched(PLACE, 3, 2000, b"ann", b"{", nulls)
    letter = letter_of("signals.dlq", raw)
    assert (letter.kind, letter.origin, letter.id) == ("unknown", None, f"signals.dlq/{PLACE}/3")
    shown = summary(letter, raw, RULES, bare=False)
    assert (shown["reason"], shown["headers"]["endocrine-error"]) == ("no reason given", None)


def test_filters_and_counts():
    letters = [letter_of("signals.dlq", refused(value)) for value in (b"{", b"{", orjson.dumps({**GOOD, "level": "x"}))]
    assert counts(letters) == [("signals.dlq", "not_json", 2), ("signals.dlq", "invalid", 1)]
    assert [Filter(kind="invalid").takes(letter) for letter in letters] == [False, False, True]
    assert not any(Filter(identity="bob").takes(letter) for letter in letters)
    assert all(Filter(id=f"signals/{PLACE}/7").takes(letter) for letter in letters)
    assert "signals.dlq" in TOPICS


@pytest.mark.parametrize("text", ["signals", "signals/0", "signals/0/x", "signals/0/-1", "nothing/0/1", "journal/0/1"])
def test_a_place_that_is_none_is_an_error_that_names_it(text):
    with pytest.raises(ValueError, match=text.split("/")[0]):
        parse_place(text)


@pytest.mark.parametrize("origin", ["<b>", "a/b", "signals/0/x", "signals/0/" + "9" * 30, "//"])
def test_a_strangers_action_about_no_place_changes_nothing(origin):
    shelf = Shelf()
    letter = letter_of("signals.dlq", refused(b"{"))
    shelf.add("signals.dlq", refused(b"{"))
    action = action_of(letter, "discard", "me", None, 1.0).model_dump() | {"offset": 999, "origin": origin}
    shelf.add("dlq-actions", Fetched(0, 1, 1000, b"k", orjson.dumps(action), []))
    assert [one.status for one in shelf.settled()] == ["open"]
