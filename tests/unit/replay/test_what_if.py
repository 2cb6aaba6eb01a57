"""Another policy gives exactly the verdicts that running the same inputs under each policy gives."""

import copy
import csv
import io
import random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import histories
from endocrine.agents.policy.compiled import Policy, compile_policy
from endocrine.agents.policy.errors import PolicyError
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.policy_history import PolicyHistory
from endocrine.pipeline.replay.report import Scope
from endocrine.pipeline.replay.what_if import COMPARED, WhatIf, compare_worlds
from endocrine.pipeline.replay.what_if_report import written
from properties import examples
from recorded import PARTITIONS, SIZES, VERSION, Logs, Recording, randomly

SECTIONS = ("signals", "bounds", "defaults", "homeostat", "feedback", "gating")
Path = tuple[str | int, ...]


def numbers(value: Any, path: Path = ()) -> list[Path]:
    if isinstance(value, dict):
        return [found for name, inside in value.items() for found in numbers(inside, (*path, name))]
    if isinstance(value, list):
        return [found for place, inside in enumerate(value) for found in numbers(inside, (*path, place))]
    return [path] if isinstance(value, int | float) and not isinstance(value, bool) else []


PLACES = [path for path in numbers(dict(shipped_policy().resolved)) if path[0] in SECTIONS]


def with_number(path: Path, change: Any) -> Policy | None:
    document = copy.deepcopy(dict(shipped_policy().resolved))
    at: Any = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = change(at[path[-1]])
    try:
        return compile_policy(document)
    except PolicyError:
        return None


def recorded(seed: int, length: int, extra: list[Any] | None = None) -> Logs:
    recording = Recording()
    recording.publish(shipped_policy())
    recording.feed(histories.random_history(random.Random(seed), length) + (extra or []))
    recording.run(shipped_policy(), randomly(seed))
    return recording.logs


def asked(logs: Logs, other: Policy, scope: Scope = Scope()) -> WhatIf:  # noqa: B008 - frozen
    sizes = {"partitions": PARTITIONS, "sizes": SIZES}
    return compare_worlds(logs, AGENTS, PolicyHistory(logs), other, version=VERSION, scope=scope, **sizes)


def brute_force(lines: list[Any], policy: Policy) -> dict[tuple[str, str], Any]:
    world = Simulation(AGENTS, policy, version=VERSION, sizes=SIZES, partitions=PARTITIONS)
    said = {}
    for line in lines:
        for topic, _, value, headers in world.feed(orjson.dumps(line)):
            if topic in COMPARED:
                said[topic, headers["ce_id"]] = {**orjson.loads(value), "policy": None}
    return said


def verdicts(lines: list[Any], other: Policy) -> dict[tuple[str, str], str]:
    ours, theirs = brute_force(lines, shipped_policy()), brute_force(lines, other)
    found = {place: "changed" for place in ours.keys() & theirs.keys() if ours[place] != theirs[place]}
    return found | dict.fromkeys(ours.keys() - theirs, "gone") | dict.fromkeys(theirs.keys() - ours, "new")


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), place=st.sampled_from(PLACES), factor=st.sampled_from([0, 0.5, 0.9, 1.1, 2, 3]))
def test_one_number_changed_gives_the_changes_that_brute_force_gives(seed: int, place: Path, factor: float) -> None:
    other = with_number(place, lambda number: type(number)(number * factor))
    if other is None:
        return
    lines = histories.random_history(random.Random(seed), 150)
    found = asked(recorded(seed, 150), other)
    assert found.verdicts() == verdicts(lines, other)


def test_a_number_that_matters_changes_something_and_the_same_policy_nothing() -> None:
    logs, lines = recorded(1, 150), histories.random_history(random.Random(1), 150)
    other = with_number(("defaults", "temperature"), lambda number: number / 2)
    assert other is not None
    found = asked(logs, other)
    assert found.counts["modulations", "changed"] > 10
    assert found.fields["modulations", "$.parameters.temperature"] > 10
    assert found.verdicts() == verdicts(lines, other)
    assert not asked(logs, shipped_policy()).changes


def turn(who: str = "ann") -> list[Any]:
    opened = {"kind": "opened", "audit_id": "t1", "identity": who, "session_id": "s", "turn": 0, "client": "c"}
    call = {"call_id": "c1", "audit_id": "t1", "identity": who, "tool": "web_search", "step": 1, "ts": 2.0, "id": "k"}
    result = {"call_id": "c1", "audit_id": "t1", "identity": who, "tool": "search", "status": "ok", "duration_ms": 1.0}
    return [
        {"topic": "interactions", "value": {**opened, "prompt": "What now?", "ts": 1.0, "id": "o"}},
        {"topic": "tool-calls", "value": {**call, "arguments": {"query": "x"}}},
        {"topic": "tool-results", "value": {**result, "args_summary": "", "ts": 3.0, "id": "r"}},
    ]


def switched(flag: str, on: bool) -> Policy:
    document = copy.deepcopy(dict(shipped_policy().resolved))
    document["flags"][flag] = on
    allowlist = document["defaults"]["tool_allowlist"]
    if "search" not in allowlist:
        allowlist.append("search")
    return compile_policy(document)


def lived(lines: list[Any], policy: Policy) -> Logs:
    recording = Recording()
    recording.publish(policy)
    recording.feed(lines)
    recording.run(policy, lambda: 1)
    return recording.logs


def test_the_result_of_a_call_that_is_denied_in_the_other_world_is_left_out_and_named() -> None:
    found = asked(lived(turn(), switched("SEARCH_TOOL", True)), switched("SEARCH_TOOL", False))
    assert found.counts["tool-decisions", "changed"] == 1
    (left,) = [one for one in found.unknown.examples if one["kind"] == "result_left_out"]
    assert left["call_id"] == "c1"
    assert found.unknown.counts["result_missing"] == 0


def test_a_call_that_is_now_allowed_and_never_was_executed_is_unknown() -> None:
    found = asked(lived(turn()[:2], switched("SEARCH_TOOL", False)), switched("SEARCH_TOOL", True))
    (missing,) = [one for one in found.unknown.examples if one["kind"] == "result_missing"]
    assert missing["call_id"] == "c1"


def test_what_was_said_after_another_answer_is_named() -> None:
    closing = {"kind": "closed", "audit_id": "t1", "identity": "ann", "response": "This.", "ts": 4.0, "id": "z"}
    lines = [*turn(), {"topic": "interactions", "value": closing}]
    found = asked(lived(lines, switched("SEARCH_TOOL", True)), switched("SEARCH_TOOL", False))
    assert [one["topic"] for one in found.unknown.examples if one["kind"] == "said_after"][-1] == "interactions"


def test_the_first_world_is_the_record_where_each_record_was_answered_before_the_next_came() -> None:
    recording = Recording()
    recording.publish(shipped_policy())
    for line in histories.random_history(random.Random(4), 120):
        recording.feed([line])
        recording.run(shipped_policy(), lambda: 1)
    found = asked(recording.logs, shipped_policy())
    assert (found.otherwise, found.as_recorded > 50) == (0, True)


def test_the_scope_cuts_what_is_told_and_not_what_is_run() -> None:
    logs = recorded(1, 120)
    other = with_number(("defaults", "temperature"), lambda number: number / 2)
    assert other is not None
    whole = asked(logs, other)
    of_ann = asked(logs, other, Scope(identity="ann"))
    assert of_ann.changes == [one for one in whole.changes if one["identity"] == "ann"]
    middle = sorted(one["at"] for one in whole.changes)[len(whole.changes) // 2]
    early, late = asked(logs, other, Scope(until_ms=middle)), asked(logs, other, Scope(since_ms=middle + 1))
    assert len(early.changes) + len(late.changes) == len(whole.changes)


def test_sentences_come_first_and_count_what_would_be_decided_otherwise() -> None:
    found = asked(lived(turn(), switched("SEARCH_TOOL", True)), switched("SEARCH_TOOL", False))
    lines = written(found, "text").decode().splitlines()
    assert lines[0] == "1 call decided otherwise: 1 allowed would be denied because the tool is switched off."
    assert "1 results of calls that the other policy would not have allowed were left out" in "\n".join(lines)
    same = written(asked(lived(turn(), shipped_policy()), shipped_policy()), "text").decode()
    assert same.startswith("Nothing would have been otherwise, over 3 records from outside.\n")


def test_sentences_name_the_parameters_that_differ() -> None:
    other = with_number(("defaults", "temperature"), lambda number: number / 2)
    assert other is not None
    found = asked(recorded(1, 100), other)
    text = written(found, "text").decode()
    (line,) = [line for line in text.splitlines() if "modulation" in line and "otherwise" in line]
    changed = [one for one in found.changes if (one["topic"], one["change"]) == ("modulations", "changed")]
    count = sum(not all(field["path"].startswith("$.lineage") for field in one["fields"]) for one in changed)
    assert 0 < count < len(changed)
    assert line.startswith(f"{count} modulations otherwise: ")
    assert f"{len(changed) - count} more modulations would come to the same parameters by other steps." in text
    assert f"temperature in {found.fields['modulations', '$.parameters.temperature']}" in line


@pytest.mark.parametrize("form", ["json", "csv", "html"])
def test_a_report_is_written_in_each_form(form: str) -> None:
    found = asked(lived(turn("=<b>ann"), switched("SEARCH_TOOL", True)), switched("SEARCH_TOOL", False))
    data = written(found, form)
    if form == "json":
        assert orjson.loads(data)["unknown"]["counts"]["result_left_out"] == 1
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(data.decode())))
        assert {row["identity"] for row in rows} == {"'=<b>ann"}
        assert any(row["path"] == "$.decision" for row in rows)
    else:
        assert b"=&lt;b&gt;ann" in data
        assert b"<b>ann" not in data
