"""A history of a version whose policy had fewer sections is proved by this one."""

import random
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

import histories
from endocrine.agents.policy.digest import canonical_digest
from endocrine.agents.policy.earlier import compile_earlier, known
from endocrine.agents.policy.errors import PolicyError
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.policy_history import PolicyHistory
from endocrine.pipeline.replay.verify import Verifier
from recorded import PARTITIONS, SIZES, Recording, randomly

LATER = ("trusted_state", "memory", "capture")
"""Sections of agents that came later."""


def test_a_policy_without_sections_that_came_later_is_read_with_those_and_keeps_its_digest():
    shipped = shipped_policy()
    sections = {name: section for name, section in shipped.resolved.items() if name not in LATER}
    earlier = replace(shipped, resolved=sections, digest=canonical_digest(sections))
    recording = Recording()
    recording.publish(earlier)
    recording.feed(histories.random_history(random.Random(3), 60))
    recording.run(earlier, randomly(3))
    history = PolicyHistory(recording.logs)
    assert history(earlier.digest).digest == earlier.digest != shipped.digest
    assert history(earlier.digest).document.memory == shipped.document.memory
    report = Verifier(recording.logs, history, partitions=PARTITIONS, sizes=SIZES).run(AGENTS)
    assert report.proved, report.findings


def without(document: Any, *path: str) -> Any:
    """A copy of a document without what lies at a path."""
    copy = deepcopy(document)
    into = copy
    for name in path[:-1]:
        into = into[name]
    del into[path[-1]]
    return copy


def test_fields_that_came_later_in_a_section_are_those_shipped_and_the_digest_is_the_documents_own():
    shipped = shipped_policy().resolved
    earlier = without(without(without(shipped, "memory", "consensus"), "gating", "approval_ttl_s"), "capture")
    policy = compile_earlier(earlier, {}, shipped)
    assert policy.resolved == shipped
    assert canonical_digest(known(policy.resolved, earlier)) == canonical_digest(earlier)


def test_an_entry_of_a_free_mapping_is_not_put_back_and_what_is_wrong_otherwise_is_refused():
    shipped = shipped_policy().resolved
    signal = "trust"
    policy = compile_earlier(without(shipped, "maps", signal), {}, shipped)
    assert signal not in policy.resolved["maps"]
    wrong = {**without(shipped, "memory", "consensus"), "gating": {**shipped["gating"], "surplus": 1}}
    with pytest.raises(PolicyError, match=r"gating\.surplus"):
        compile_earlier(wrong, {}, shipped)
