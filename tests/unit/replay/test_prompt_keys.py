"""A history under a policy that hashes prompts is proved with the key, and not verifiable without: replay says so."""

import copy
import random
from typing import Any

import pytest

import histories
from endocrine.agents._shared.prompt_keys import PromptKeys, fingerprint
from endocrine.agents.policy.compiled import compile_policy
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.policy_history import PolicyHistory
from endocrine.pipeline.replay.report import Report
from endocrine.pipeline.replay.verify import Verifier
from recorded import PARTITIONS, SIZES, Logs, Recording, randomly

KEY = b"a key of 32 bytes, of this test.".ljust(32, b".")
KEYS = {fingerprint(KEY): KEY}


@pytest.fixture(scope="module")
def logs() -> Logs:
    document: Any = copy.deepcopy(dict(shipped_policy().resolved))
    document["gating"]["prompt_hmac_key_id"] = fingerprint(KEY)
    policy, recording = compile_policy(document, KEYS), Recording()
    recording.publish(policy)
    recording.feed(histories.random_history(random.Random(6), 120))
    recording.run(policy, randomly(6))
    return recording.logs


def verify(logs: Any, keys: PromptKeys) -> Report:
    return Verifier(logs, PolicyHistory(logs, keys), partitions=PARTITIONS, sizes=SIZES).run(AGENTS)


def test_with_the_key_it_is_proved_and_the_key_lies_on_no_topic(logs: Logs) -> None:
    report = verify(logs, KEYS)
    assert report.proved, report.findings
    values = [raw.value or b"" for log in logs.values() for raw in log]
    assert any(b'"prompt_hmac":"' in value for value in values)
    assert not any(KEY in value or KEY.hex().encode() in value for value in values)


@pytest.mark.parametrize("keys", [{}, {"0" * 16: KEY}])
def test_without_the_key_it_is_not_verifiable_and_the_reason_names_the_setting(logs: Logs, keys: PromptKeys) -> None:
    report = verify(logs, keys)
    assert not report.proved
    assert set(report.findings) == {"not verifiable"}
    assert all("ENDOCRINE_PROMPT_KEY_FILE" in sentence for sentence in report.findings["not verifiable"])
