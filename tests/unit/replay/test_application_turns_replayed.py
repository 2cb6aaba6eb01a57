"""Turns with an application's own tools through all agents: what holds in any order; replay makes the bytes again."""

import json
import random
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.agents.policy.compiled import Policy
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.replay.policy_history import PolicyHistory
from endocrine.pipeline.replay.recorded_seals import RecordedSeals
from endocrine.pipeline.replay.verify import Verifier
from policies import policy_over
from properties import examples
from recorded import PARTITIONS, SIZES, Recording, randomly

READ = {"name": "read_file", "description": "", "parameters": {"type": "object", "required": ["path"]}}
NOTE = {"name": "note", "description": "", "parameters": {"type": "object"}}
DROP = {"name": "drop_table", "description": "", "parameters": {"type": "object"}}
REMOTE = {"name": "read_remote", "description": "", "parameters": {"$ref": "https://a.example/s"}}
OURS = {"name": "open_url", "description": "", "parameters": {"type": "object"}}
FORBIDDEN = {"drop_table", "read_remote", "rm_rf"}
RULES = {"shop": {"tools": ["read_*", "note", "open_*"], "strict_tools": ["note"], "own_tools": True}}
FORGED = "forged-result"


def _policy(own_tools: bool = True) -> Policy:
    return policy_over({"applications": {"shop": {**RULES["shop"], "own_tools": own_tools}}})


POLICIES = {own: _policy(own) for own in (True, False)}


def line(topic: str, **value: Any) -> bytes:
    return json.dumps({"topic": topic, "value": {"identity": "ann", **value}}).encode()


def opening(tools: Any = (READ, NOTE, DROP), **more: Any) -> dict[str, Any]:
    return {
        "kind": "opened", "audit_id": "t1", "session_id": "s", "turn": 0, "client": "shop", "prompt": "Read it.",
        "messages": [{"role": "user", "content": "Read it."}], "application_tools": list(tools), "respond": True,
        "door": "openai", "ts": 100.0, **more,
    }  # fmt: skip


class World:
    """All agents, with a model, a door and strangers whose doings are drawn by lot; everything derived is kept."""

    def __init__(self, own_tools: bool = True) -> None:
        self.simulation = Simulation(
            AGENTS, POLICIES[own_tools], version="0", sizes=Sizes(), partitions=4, seals=simulated_seals()
        )
        self.derived: list[tuple[str, dict[str, Any]]] = []
        self.bytes = b""
        self.ts = 100.0

    def feed(self, topic: str, **value: Any) -> None:
        self.ts += 0.25
        for one in self.simulation.feed(line(topic, **{"ts": self.ts, **value})):
            self.bytes += one.line() + b"\n"
            if not one.dead and isinstance(one[2], bytes):
                self.derived.append((one[0], orjson.loads(one[2])))

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [value for name, value in self.derived if name == topic]

    def reply(self, functions: list[tuple[str, Any]], content: str | None = None) -> None:
        asked = [one for one in self.of("model-requests") if one["purpose"] == "answer"]
        if not asked:
            return
        calls = [{"call_id": f"x{n}", "tool": name, "arguments": given} for n, (name, given) in enumerate(functions)]
        self.feed(
            "model-replies", request_id=asked[-1]["request_id"], audit_id="t1", step=asked[-1]["step"], status="ok",
            content=content, tool_calls=calls, finish_reason="stop", usage={"input_tokens": 9, "output_tokens": 3},
            model="m", latency_ms=1.0, error=None,
        )  # fmt: skip

    def result(self, call_id: str, output: str, tool: str = "read_file", runner: str | None = "application") -> None:
        self.feed(
            "tool-results", call_id=call_id, audit_id="t1", tool=tool, status="ok", duration_ms=1.0, args_summary="",
            output=output, **({} if runner is None else {"runner": runner}),
        )  # fmt: skip

    def results(self) -> None:
        """The door brings the results of what it passed on; our connector those of its own."""
        done = {value["call_id"] for value in self.of("tool-decisions") if value["decision"] == "allowed"}
        for value in self.of("tool-decisions"):
            if value["call_id"] in done:
                runner = value.get("runner")
                self.result(value["call_id"], "as asked", value["tool"] or value["function"], runner)


ARGUMENTS = st.sampled_from([{"path": "a"}, {"url": "https://a.example"}, {}, "no json"])
NAMES = st.sampled_from(["read_file", "note", "drop_table", "read_remote", "rm_rf", "open_url", "exec_code"])
CALLS = st.lists(st.tuples(NAMES, ARGUMENTS), min_size=1, max_size=4)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("reply"), CALLS),
        st.tuples(st.just("answer"), st.none()),
        st.tuples(st.just("results"), st.none()),
        st.tuples(st.just("forge"), st.sampled_from(["t1/1/call-1", "t1/1/call-2", "t1/2/call-1", "zz"])),
        st.tuples(st.just("stranger"), st.tuples(NAMES, ARGUMENTS)),
        st.tuples(st.just("risk"), st.floats(0, 1)),
        st.tuples(st.just("again"), st.sampled_from([(READ, NOTE, DROP), ({**DROP, "name": "read_file"},)])),
        st.tuples(st.just("tick"), st.floats(0, 700)),
    ),
    max_size=14,
)
WISHES = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2), "top_p": st.floats(0, 1), "max_output_tokens": st.integers(1, 5000),
        "stop": st.lists(st.sampled_from("abcde"), max_size=5), "tool_choice": st.sampled_from(["required", "auto"]),
    },
)  # fmt: skip
OPENINGS = st.fixed_dictionaries(
    {"asked": st.one_of(st.none(), WISHES), "enforce": st.booleans(), "door": st.sampled_from(["openai", "http"]),
     "application_tools": st.sampled_from([[READ, NOTE, DROP], [READ, REMOTE, OURS], [DROP], []])},
)  # fmt: skip


def played(opened: dict[str, Any], acts: list[Any], own_tools: bool, late: int = 0) -> World:
    """One turn; its opening comes after `late` acts."""
    world = World(own_tools)
    for at, (act, what) in enumerate([*acts[:late], ("open", None), *acts[late:]]):
        if act == "open":
            world.feed("interactions", **{**opening(), **opened, "ts": world.ts})
        elif act == "reply":
            world.reply(what)
        elif act == "answer":
            world.reply([], "Fine.")
        elif act == "results":
            world.results()
        elif act == "forge":
            decided = {one["call_id"]: one for one in world.of("tool-decisions")}
            if decided.get(what, {}).get("decision") != "allowed" and opened["enforce"]:
                world.result(what, FORGED)
        elif act == "stranger":
            world.feed("tool-calls", call_id=f"s{at}", audit_id="t1", tool=what[0], arguments=what[1], step=1)
        elif act == "risk":
            world.feed("signals", name="alignment_risk", level=what, ttl_ms=0, source="x", audit_id="t1")
        elif act == "again":
            world.feed("interactions", **{**opening(what), **opened, "application_tools": list(what), "ts": world.ts})
        else:
            world.ts += what
            world.feed("commands", kind="tick", by="timekeeper")
    return world


@settings(max_examples=examples(60), deadline=None)
@given(opened=OPENINGS, acts=ACTS, own=st.booleans(), late=st.integers(0, 3))
def test_in_any_order_no_forbidden_call_is_allowed_no_wish_loosens_and_no_forged_result_reaches_the_model(
    opened: dict[str, Any], acts: list[Any], own: bool, late: int
) -> None:
    world = played(opened, acts, own, min(late, len(acts)))
    in_force: dict[str, Any] = {}
    for topic, value in world.derived:
        if topic == "modulations":
            in_force = value
        if topic == "tool-decisions" and value["decision"] == "allowed":
            assert value["function"] not in FORBIDDEN
            if value.get("runner") == "application":
                assert value["function"] in in_force["application_tools"]
            else:
                assert value["tool"] in in_force["parameters"]["tool_allowlist"]
        if topic == "model-requests" and value["purpose"] == "answer" and opened["enforce"]:
            sent, parameters = value["parameters"], in_force["parameters"]
            for name in ("temperature", "top_p", "max_output_tokens"):
                assert sent.get(name, 0) <= parameters[name]
            offered = {tool["function"]["name"] for tool in value["tools"]}
            assert offered == {function["name"] for function in in_force["functions"]}
    assert FORGED not in json.dumps(world.of("model-requests"))
    assert played(opened, acts, own, min(late, len(acts))).bytes == world.bytes, "the same again, byte for byte"


@settings(max_examples=examples(40), deadline=None)
@given(
    opened=OPENINGS, calls=st.lists(st.tuples(NAMES, ARGUMENTS), max_size=8), own=st.booleans(), risk=st.floats(0, 1)
)
def test_whether_a_turn_is_enforced_changes_no_decision(
    opened: dict[str, Any], calls: list[Any], own: bool, risk: float
) -> None:
    decided = []
    for enforce in (True, False):
        world = World(own)
        world.feed("interactions", **{**opening(), **opened, "respond": None, "enforce": enforce, "ts": 100.0})
        world.feed("signals", name="alignment_risk", level=risk, ttl_ms=0, source="x", audit_id="t1")
        for number, (name, arguments) in enumerate(calls):
            world.feed("tool-calls", call_id=f"c{number}", audit_id="t1", tool=name, arguments=arguments, step=1)
        decided.append([world.of(topic) for topic in ("tool-decisions", "modulations", "incidents")])
    assert decided[0] == decided[1]


@settings(max_examples=examples(40), deadline=None)
@given(opened=OPENINGS, acts=ACTS)
def test_of_an_observed_turn_no_denied_tool_of_ours_has_its_result_taken(
    opened: dict[str, Any], acts: list[Any]
) -> None:
    world = played({**opened, "enforce": False}, acts, True)
    for value in world.of("tool-decisions"):
        if value["decision"] == "denied" and value["tool"] is not None:
            world.result(value["call_id"], FORGED, value["tool"], None)
            world.result(value["call_id"], FORGED, value["tool"])
    world.reply([], "Fine.")
    assert FORGED not in json.dumps(world.of("model-requests"))


def test_replay_proves_a_history_with_applications_and_strangers() -> None:
    recording, policy = Recording(), POLICIES[False]
    recording.publish(policy)
    n, rng = partition_of("ann", PARTITIONS), random.Random(3)

    def put(topic: str, *, sealed: bool, **value: Any) -> None:
        raw = orjson.dumps({"identity": "ann", "ts": recording.clock_ms / 1000, **value})
        record_id = f"{topic}-{len(recording.logs[topic, n])}".encode()
        seal = simulated_seals().seal(topic, n, b"ann", raw, record_id)
        headers = [("ce_id", record_id), *([("endocrine-seal", seal)] if sealed else [])]
        recording.put(topic, n, b"ann", raw, headers)
        recording.run(policy, randomly(rng.randrange(99), 12))

    def latest(topic: str) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(recording.logs[topic, n][-1].value or b"")
        return found

    def reply(*calls: tuple[str, Any], content: str | None = None) -> None:
        request = latest("model-requests")
        put(
            "model-replies", sealed=True, request_id=request["request_id"], audit_id="t1", step=request["step"],
            status="ok", content=content, finish_reason="stop", usage=None, model="m", latency_ms=1.0, error=None,
            tool_calls=[{"call_id": "x", "tool": tool, "arguments": arguments} for tool, arguments in calls],
        )  # fmt: skip

    def result(call_id: str, output: str, *, sealed: bool = True) -> None:
        put(
            "tool-results", sealed=sealed, call_id=call_id, audit_id="t1", tool="read_file", status="ok",
            duration_ms=0.0, args_summary="", output=output, runner="application",
        )  # fmt: skip

    put("interactions", sealed=False, **{**opening(), "ts": recording.clock_ms / 1000})
    reply(("read_file", {"path": "a"}), ("drop_table", {}))
    assert latest("tool-decisions")["decision"] == "denied"
    result("t1/1/call-1", FORGED, sealed=False)
    result("t1/1/call-2", FORGED)
    result("t1/1/call-1", "text of a")
    assert latest("model-requests")["step"] == 2
    reply(content="It says a.")
    assert latest("interactions")["finish"] == "answered"
    assert FORGED.encode() not in b"".join(raw.value or b"" for raw in recording.logs["model-requests", n])
    kinds = [dict(raw.headers)["endocrine-error-kind"] for raw in recording.logs["tool-results.dlq", n]]
    assert kinds == [b"unsealed_result", b"unknown_tool_call"]
    logs: Any = recording.logs
    verifier = Verifier(logs, PolicyHistory(logs), partitions=PARTITIONS, sizes=SIZES, seals=RecordedSeals(None))
    report = verifier.run(AGENTS)
    assert report.proved, (report.findings, report.not_verifiable)
