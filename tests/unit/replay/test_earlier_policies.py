"""A history of a version whose policy had fewer sections is proved by this one."""

import random
from dataclasses import replace

import histories
from endocrine.agents.policy.digest import canonical_digest
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
