"""Roles share the agents of a deployment out, and say whose workers would run the same ones."""

from typing import Any

import pytest

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.process.roles import PARTS, ROLES, agents_of, group_of, overlapping
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.worker import overlap
from endocrine.pipeline.runtime.worker.overlap import without_others


def test_the_roles_share_out_all_agents_and_each_is_in_one():
    shared = [agent.name for role in PARTS for agent in agents_of(role, AGENTS)]
    assert sorted(shared) == sorted(agent.name for agent in AGENTS)
    assert agents_of("all", AGENTS) == list(AGENTS)


def test_those_that_decide_are_the_ones_that_somebody_waits_for():
    assert {agent.name for agent in agents_of("decide", AGENTS)} == {"modulation", "gating", "conversation"}


@pytest.mark.parametrize("role", ROLES)
def test_groups_overlap_exactly_where_their_workers_have_an_agent_in_common(role):
    ours = set(agents_of(role, AGENTS))
    common = [group_of(other, "g") for other in ROLES if other != role and ours & set(agents_of(other, AGENTS))]
    assert overlapping(role, "g") == common


async def test_a_worker_waits_until_the_other_groups_have_no_member(monkeypatch):
    answers = [["g.decide"], ["g.decide"], []]
    asked = []

    async def members(settings: Settings, groups: Any) -> list[str]:
        asked.append(list(groups))
        return answers.pop(0)

    monkeypatch.setattr(overlap, "_with_members", members)
    monkeypatch.setattr(overlap, "LOOK_S", 0.001)
    await without_others(Settings(), ["g.decide", "g.record"])
    assert asked == [["g.decide", "g.record"]] * 3


async def test_a_broker_that_does_not_answer_is_asked_again(monkeypatch):
    answers: list[Any] = [TimeoutError(), []]

    async def members(settings: Settings, groups: Any) -> list[str]:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return list(found)

    monkeypatch.setattr(overlap, "_with_members", members)
    monkeypatch.setattr(overlap, "LOOK_S", 0.001)
    await without_others(Settings(), ["g"])
    assert not answers
