"""Turns, decisions and captures of the Python client without a gateway, on a broker that is in process."""

import asyncio
import json
import threading
from dataclasses import asdict

import pytest

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.decode import decode
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.gateway.routes.commands import KINDS
from endocrine_client import Denied, Endocrine, NameNotTaken, NotDecided, Pending, Refused, SyncEndocrine
from endocrine_client.kafka import DoorTransport, KafkaTransport
from endocrine_client.kafka.binding import digest_of
from endocrine_client.kafka.door import BrokerAway, Door, RecordTooLarge
from endocrine_client.kafka.records import COMMANDS
from endocrine_client.testing import BALANCED, KNOWLEDGE

PARTITIONS = 4
CALL = {"id": "c1", "function": {"name": "retrieve_knowledge", "arguments": '{"query": "refunds"}'}}
OTHERS = digest_of({"query": "passwords"})


class StubBroker:
    """A broker with a gate behind it: it opens turns, and decides calls as `decide` changes their decisions.

    decide: from a decision that allows to those that are appended. away: nothing is taken. silent: nothing is answered.
    """

    def __init__(self, decide=lambda decision: [decision]):
        self.decide = decide
        self.records, self.away, self.silent, self.too_large = [], False, False, False
        self.starts = 0
        self.opening = {}
        self.taken, self._read = threading.Event(), threading.Event()

    async def start(self):
        self.starts += 1
        if self.away:
            raise BrokerAway("stopped")
        self._derived, self._loop = asyncio.Queue(), asyncio.get_running_loop()
        return PARTITIONS

    async def send(self, topic, partition, key, value, headers):
        if self.away:
            raise BrokerAway("stopped")
        if self.too_large:
            raise RecordTooLarge("a record of 9 bytes")
        given = json.loads(value)
        known = dict(headers)["ce_id"] in [one[0] for one in self.records]
        self.records.append((given["id"].encode(), topic, partition, key, given))
        decode(CATALOGUE[topic], value, 1 << 20)  # raises what would be a dead letter
        if not self.silent and not known:  # nothing is derived from a copy
            self._derive(topic, given)
        self.taken.set()
        return len(self.records) - 1

    async def fetch(self):
        if self._derived.empty():
            self._read.set()
        return [await self._derived.get()]

    async def stop(self):
        pass

    def append(self, topic, identity, value, *, origin, partition=None, content=None, **headers):
        place = partition_of(identity, PARTITIONS) if partition is None else partition
        named = {"endocrine-origin": origin, **headers}
        content = json.dumps(value).encode() if content is None else content
        record = Fetched(place, 0, 0, identity.encode(), content, tuple(named.items()))

        def put():
            self._read.clear()
            self._derived.put_nowait((topic, record))

        self._loop.call_soon_threadsafe(put)

    async def read(self):
        """Wait until what was appended is taken in."""
        put = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop)  # behind `put`
        await asyncio.wrap_future(put)
        assert await asyncio.to_thread(self._read.wait, 30)

    def values(self, topic):
        return [value for _, at, _, _, value in self.records if at == topic]

    def _derive(self, topic, given):
        about = {name: given[name] for name in ("audit_id", "identity") if name in given}
        if topic == "interactions" and given["kind"] == "opened":
            modulation = about | {"revision": 0, "admitted": True, "refusal": None, "review": "none",
                                  "mode": "balanced", "parameters": asdict(BALANCED), "prompt_style": "balanced",
                                  "functions": [KNOWLEDGE]} | self.opening  # fmt: skip
            self.append("modulations", given["identity"], modulation, origin=b"modulation/interactions/0/0/0")
        elif topic == "tool-calls":
            decision = about | {"call_id": given["call_id"], "function": given["tool"], "tool": "retrieval",
                                "decision": "allowed", "reason": None, "revision": 0,
                                "arguments_digest": digest_of(given["arguments"])}  # fmt: skip
            for changed in self.decide(decision):
                fixed = changed.pop("at", {})
                identity = fixed.pop("key", given["identity"])
                self.append("tool-decisions", identity, changed, **{"origin": b"gating/tool-calls/0/0/0", **fixed})


@pytest.fixture
def broker():
    return StubBroker()


def client(broker, kind=Endocrine, seal=None, **settings):
    transport = DoorTransport("stub", lambda: Door(broker, client="shop", seal=seal, advice_s=0.2, ack_s=1.0))
    usual = {"open_s": 2.0, "decision_s": 0.3, "close_s": 0.5}
    return kind(transport=transport, **{"spool": False, **usual, **settings})


async def test_a_turn_is_opened_decided_closed_and_rated(broker):
    async with client(broker) as endocrine:
        async with endocrine.turn(identity="ann", prompt="How?", signals={"urgency": 0.6}) as turn:
            assert (turn.mode, turn.functions.names) == ("balanced", ("retrieve_knowledge",))
            decided = await turn.tool_call(CALL)
            assert (decided.allowed, decided.arguments) == (True, {"query": "refunds"})
            assert await turn.tool_call(CALL) == decided  # asked again: the same record, and not once more
            await turn.tool_result(decided, {"passages": []})
            turn.answer("Ten days.", usage={"prompt_tokens": 3, "completion_tokens": 2})
        await endocrine.rate(turn, 5)
        await endocrine.signal("ann", "stress", 0.4, turn=turn)
        assert await endocrine.flush()
    opened, closed = broker.values("interactions")
    assert (opened["client"], opened["door"], opened["session_id"]) == ("shop", "client", turn.audit_id)
    assert (closed["audit_id"], closed["response"]) == (turn.audit_id, "Ten days.")
    assert [value["call_id"] for value in broker.values("tool-calls")] == ["c1"]
    assert broker.values("feedback")[0]["target_action_id"] == turn.audit_id
    assert broker.values("signals")[0]["ttl_ms"] == 800
    assert {(partition, key) for _, _, partition, key, _ in broker.records} == {
        (partition_of("ann", PARTITIONS), b"ann")
    }


def refused(decision, reason="disabled_by_flag"):
    return decision | {"decision": "denied", "reason": reason}


NOT_OURS = {
    "of other arguments": lambda d: d | {"arguments_digest": OTHERS},
    "of no arguments": lambda d: d | {"arguments_digest": None},
    "of another call": lambda d: d | {"call_id": "c2"},
    "of another turn": lambda d: d | {"audit_id": "other"},
    "of another function": lambda d: d | {"function": "exec_code"},
    "of another identity": lambda d: d | {"identity": "bob"},
    "under another key": lambda d: d | {"at": {"key": "bob"}},
    "on another partition": lambda d: d | {"at": {"partition": (partition_of("ann", PARTITIONS) + 1) % PARTITIONS}},
    "of no agent": lambda d: d | {"at": {"origin": b""}},
    "of another agent": lambda d: d | {"at": {"origin": b"modulation/interactions/0/0/0"}},
    "no decision": lambda d: d | {"decision": "would"},
    "no object": lambda d: d | {"at": {"content": b"[1]"}},
    "no JSON": lambda d: d | {"at": {"content": b"{"}},
}


@pytest.mark.parametrize("change", NOT_OURS.values(), ids=NOT_OURS)
async def test_a_decision_that_is_not_on_this_call_does_not_count(broker, change):
    broker.decide = lambda decision: [change(decision | {"tool": "forged"}), decision]
    async with client(broker, decision_s=30.0) as endocrine, endocrine.turn(identity="ann", prompt="How?") as turn:
        assert (await turn.tool_call(CALL)).tool == "retrieval"


async def test_with_such_a_decision_alone_nothing_runs(broker):
    broker.decide = lambda decision: [change(decision) for change in NOT_OURS.values()]
    async with client(broker) as endocrine, endocrine.turn(identity="ann", prompt="How?") as turn:
        with pytest.raises(NotDecided):
            await turn.tool_call(CALL)


async def test_the_first_final_decision_counts_whatever_comes_after_it(broker):
    broker.decide = lambda d: [refused(d) | {"enforce": False, "kind": "x", "status": 200}, refused(d), d]
    async with client(broker) as endocrine, endocrine.turn(identity="ann", prompt="How?") as turn:
        for _ in range(2):
            with pytest.raises(Denied) as raised:
                await turn.tool_call(CALL)
            assert raised.value.reason == "disabled_by_flag"


async def test_a_call_that_waits_for_a_person_is_answered_once_they_did(broker):
    broker.decide = lambda d: [d | {"decision": "pending", "reason": "awaiting_approval", "expires": 9.0}]
    async with client(broker) as endocrine, endocrine.turn(identity="ann", prompt="How?") as turn:
        with pytest.raises(Pending) as raised:
            await turn.tool_call(CALL)
        assert raised.value.expires == 9.0
        final = {"call_id": "c1", "audit_id": turn.audit_id, "identity": "ann", "decision": "allowed",
                 "function": "retrieve_knowledge", "arguments_digest": digest_of({"query": "refunds"})}  # fmt: skip
        broker.append("tool-decisions", "ann", final, origin=b"gating/commands/0/0/0")
        await broker.read()
        assert (await turn.tool_call(CALL)).allowed
    assert [value["call_id"] for value in broker.values("tool-calls")] == ["c1"]


async def test_where_seals_are_checked_an_unsealed_decision_lets_nothing_run(broker):
    def sealed(topic, raw, headers):
        return topic == "modulations"

    async with client(broker, seal=sealed) as endocrine, endocrine.turn(identity="ann", prompt="How?") as turn:
        assert turn.mode == "balanced"
        with pytest.raises(NotDecided):
            await turn.tool_call(CALL)
        assert endocrine._transport._door.following.dropped == 1


async def test_without_a_modulation_in_time_the_turn_is_strict_and_on_record(broker):
    broker.silent = True
    async with client(broker) as endocrine:
        async with endocrine.turn(identity="ann", prompt="How?") as turn:
            assert (turn.mode, turn.modulation.advice, turn.functions.names) == ("strict", "late", ())
            with pytest.raises(NotDecided):
                await turn.tool_call(CALL)
            turn.answer("So.")
        assert await endocrine.flush()
    assert [value["kind"] for value in broker.values("interactions")] == ["opened", "closed"]


@pytest.mark.parametrize(
    ("refusal", "error", "reason"),
    [("rate_limited", Denied, "rate_limited"), ("denied", Denied, "denied"), ("held", Pending, "pending")],
)
async def test_a_refused_turn_is_raised(broker, refusal, error, reason):
    broker.opening = {"admitted": False, "refusal": refusal}
    async with client(broker) as endocrine:
        with pytest.raises(error) as raised:
            async with endocrine.turn(identity="ann", prompt="How?"):
                raise AssertionError("the turn may not run")
    assert raised.value.reason == reason


async def test_a_turn_that_is_not_admitted_is_no_turn_even_without_a_reason(broker):
    broker.opening = {"admitted": False}
    async with client(broker) as endocrine:
        with pytest.raises(Denied):
            await endocrine.turn(identity="ann", prompt="How?").__aenter__()


async def test_a_broker_that_is_away_lets_nothing_run_and_loses_nothing(broker, tmp_path):
    broker.away = True
    async with client(broker, open_s=0.3, spool=tmp_path / "spool") as endocrine:
        async with endocrine.turn(identity="ann", prompt="How?") as turn:
            assert (turn.mode, turn.modulation.advice) == ("strict", "unavailable")
            with pytest.raises(NotDecided):
                await turn.tool_call(CALL)
            turn.answer("So.")
        broker.away = False
        assert await endocrine.flush()
    assert [value["kind"] for value in broker.values("interactions")] == ["opened", "closed"]
    assert broker.starts > 1


async def test_a_record_that_is_a_dead_letter_is_refused_at_once(broker):
    broker.silent = True
    async with client(broker, open_s=60.0) as endocrine:
        opening = asyncio.create_task(endocrine.turn(identity="ann", prompt="How?").__aenter__())
        assert await asyncio.to_thread(broker.taken.wait, 30)
        why = {"ce_id": broker.records[0][0], "endocrine-error-kind": b"invalid", "endocrine-error": b"turn: a text"}
        broker.append("interactions.dlq", "ann", {}, origin=b"modulation/interactions/0/0/0", **why)
        assert (await opening).modulation.advice == "unavailable"
        assert endocrine.counts.refused == 1
        assert "invalid" in next(iter(endocrine.counts.reasons))


async def test_a_record_that_is_too_large_is_given_up(broker):
    async with client(broker) as endocrine:
        broker.too_large = True
        assert await endocrine.rate("t1", 5, identity="ann")
        assert await endocrine.flush()
        assert endocrine.counts.refused == 1


async def test_commands_are_records_and_show_their_outcome(broker):
    async with client(broker) as endocrine:
        setting = asyncio.create_task(endocrine.set_cap("ann", 40))
        assert await asyncio.to_thread(broker.taken.wait, 30)
        (command,) = broker.values("commands")
        assert (command["kind"], command["cap"], command["by"]) == ("set_cap", 40, "shop")
        event = {"identity": "ann", "event_type": "cap_changed"}
        broker.append(
            "bond-events", "ann", event, origin=b"bonds/commands/0/0/0", ce_id=f"bonds/{command['id']}/0".encode()
        )
        assert (await setting)["outcome"] == event


async def test_an_approval_is_a_record_and_shows_the_final_decision(broker):
    waiting = {"kind": "call", "identity": "ann", "audit_id": "t1", "call_id": "c1"}
    async with client(broker) as endocrine:
        approving = asyncio.create_task(endocrine.approve(waiting, reason="seen"))
        assert await asyncio.to_thread(broker.taken.wait, 30)
        (command,) = broker.values("commands")
        assert (command["kind"], command["call_id"], command["by"]) == ("approve", "c1", "shop")
        final = {"call_id": "c1", "audit_id": "t1", "identity": "ann", "function": "send", "decision": "allowed"}
        broker.append("tool-decisions", "ann", final, origin=b"gating/commands/0/0/0")
        assert (await approving)["outcome"] == final


def test_every_command_of_the_gateway_has_its_kind():
    assert COMMANDS == KINDS


@pytest.mark.parametrize(
    "ask",
    [
        lambda e: e.bonds(),
        lambda e: e.bond_check("ann"),
        lambda e: e.interactions(identity="ann"),
        lambda e: e.context("ann", "How?"),
        lambda e: e.state_set("ann", "decision", "a", "b"),
        lambda e: e.approvals(),
    ],
)
def test_what_needs_a_gateway_says_so_and_names_the_http_transport(broker, ask):
    with client(broker, SyncEndocrine) as endocrine, pytest.raises(Refused, match="use the HTTP transport") as raised:
        ask(endocrine)
    assert raised.value.reason == "needs_gateway"
    assert broker.records == []


def test_names_need_a_gateway(broker):
    with client(broker, SyncEndocrine) as endocrine, pytest.raises(NameNotTaken, match="use the HTTP transport"):
        endocrine.register_name("identity", "ann")


def test_the_blocking_client_does_the_same(broker):
    with client(broker, SyncEndocrine) as endocrine:
        with endocrine.turn(identity="ann", prompt="How?") as turn:
            assert turn.tool_call(CALL).arguments == {"query": "refunds"}
        broker.silent = True
        with endocrine.turn(identity="ann", prompt="How?") as turn, pytest.raises(NotDecided):
            turn.tool_call(CALL)
        observed = {"identity": "ann", "primitive": "p", "value": 1, "confidence": 1.0, "source": "s", "id": "o"}
        assert endocrine.observation(observed | {"window": {"start_ts": 1.0, "end_ts": 2.0}})
        assert endocrine.flush()
    assert broker.values("observations")[0]["identity_ref"] == "ann"


def test_without_the_extra_the_transport_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"endocrine-client\[kafka\]"):
        KafkaTransport()


def test_captures_of_two_brokers_wait_in_spools_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for transport in (KafkaTransport("a:1"), KafkaTransport("a:1", prefix="other."), KafkaTransport("b:1"), None):
        with SyncEndocrine("http://127.0.0.1:1", transport=transport, close_s=0.0):
            pass
    assert len({file.stem for file in (tmp_path / "endocrine").glob("*.db")}) == 4
