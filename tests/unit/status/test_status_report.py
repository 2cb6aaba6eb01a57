"""Lag, workers and the last incident, as rows and lines."""

from types import SimpleNamespace

import pytest

from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.consumer_lag import ConsumerLag
from endocrine.pipeline.views.status import incidents as module
from endocrine.pipeline.views.status.incidents import read_incidents
from endocrine.pipeline.views.status.lag import LagRow, lag_rows
from endocrine.pipeline.views.status.report import Member, role_of, status_lines
from endocrine.schemas.tools import Incident

INCIDENT = Incident.model_validate({
    "incident_id": "i1", "kind": "tool_blocked", "audit_id": "t1", "identity": "ann", "attempted": "open_url",
    "reason": "not_in_allowlist", "params_snapshot": {"allowlist": [], "mode": "strict"}, "prompt_hmac": None,
    "policy": "0" * 64, "ts": 1.0,
})  # fmt: skip


def agent(name, *sources):
    return SimpleNamespace(name=name, sources=sources)


def test_lag_is_per_agent_and_partition_and_names_the_topics_with_the_offset_read_next():
    consumer_lag = ConsumerLag([agent("gating", "tool-calls", "modulations"), agent("bonds", "detections")])
    consumer_lag.journal({"agent": "gating", "partition": 1, "runs": [["tool-calls", 0, 7]]})
    consumer_lag.at_least(("modulations", 1), 3)
    ends = {("tool-calls", 0): 0, ("tool-calls", 1): 9, ("modulations", 0): 0, ("modulations", 1): 3}
    ends |= {("detections", 0): 4, ("detections", 1): 0}
    assert lag_rows(consumer_lag, ends) == [
        LagRow("gating", 0, 0, {}),
        LagRow("gating", 1, 2, {"tool-calls": 2}, {"tool-calls": 7}),
        LagRow("bonds", 0, 4, {"detections": 4}, {"detections": 0}),
        LagRow("bonds", 1, 0, {}),
    ]


def test_the_status_names_workers_with_roles_lag_and_the_last_incident():
    members = {
        "endocrine.decide": [Member("w1", "10.0.0.1", [0, 1]), Member("w2", "10.0.0.2", [2])],
        "endocrine.record": [],
    }
    lag = [LagRow("gating", 0, 2, {}), LagRow("gating", 1, 3, {}), LagRow("bonds", 0, 0, {})]
    assert status_lines("endocrine", members, lag, (0.25, INCIDENT), 4) == [
        "worker   w1 at 10.0.0.1: role decide, partitions 0, 1",
        "worker   w2 at 10.0.0.2: role decide, partitions 2",
        "worker   role decide: nobody owns partitions 3",
        "worker   none in role record",
        "lag      gating 5",
        "incident 1970-01-01T00:00:00.250Z tool_blocked open_url of ann: not_in_allowlist",
    ]
    assert status_lines("endocrine", {}, [LagRow("bonds", 0, 0, {})], None, 4) == [
        "worker   none",
        "lag      0: every agent has read all there is",
        "incident none",
    ]


@pytest.mark.parametrize(("group", "role"), [("e", "all"), ("e.decide", "decide"), ("e.record", "record")])
def test_a_group_of_a_role_is_named_after_it(group, role):
    assert role_of("e", group) == role


async def test_incidents_of_all_partitions_come_once_newest_first_and_bounded(monkeypatch, tmp_path):
    def record(at, name, kind="tool_blocked", ours=True):
        value = INCIDENT.model_copy(update={"incident_id": name, "kind": kind}).model_dump_json().encode()
        headers = (("endocrine-origin", b"gating/tool-calls/0/1/0"),) if ours else ()
        return SimpleNamespace(timestamp=at, offset=at, value=value, headers=headers)

    async def batches(settings, topics, **options):
        yield "incidents", 0, [record(1, "a"), record(5, "b"), record(6, "b")]
        yield "incidents", 1, [record(3, "c", "drift_lock"), record(4, "d"), record(9, "x", ours=False)]

    monkeypatch.setattr(module, "batches", batches)
    bare = Settings(data_dir=tmp_path)  # no seal key: nothing is checked
    found = await read_incidents(bare, most=2)
    assert [(at, one.incident_id) for at, one in found.newest] == [(0.005, "b"), (0.004, "d")]
    assert (dict(found.counts), found.unreadable) == ({"tool_blocked": 3, "drift_lock": 1}, 1)
    one = await read_incidents(bare, lambda incident: incident.kind == "drift_lock", most=5)
    assert [incident.incident_id for _, incident in one.newest] == ["c"]
