"""What the effect runner writes where an answer does not fit its topic, and what it logs of a fault."""

from typing import Any

import pytest
from pydantic import ValidationError

from endocrine.pipeline.connectors.contract import EffectRecord, Request
from endocrine.pipeline.connectors.effect_runner import EffectRunner, _kinds
from endocrine.pipeline.connectors.model.effect import ModelEffect
from endocrine.pipeline.connectors.model.outcome import Outcome
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from policies import policy_over

VALUE: dict[str, Any] = {
    "request_id": "r1",
    "audit_id": "t1",
    "identity": "ann",
    "step": 1,
    "model": "local",
    "deadline_ms": 1000,
    "ts": 1.0,
}
RULES = shipped_policy().document.models


@pytest.fixture
def runner() -> EffectRunner:
    effect = ModelEffect(ModelSettings(api_key="k"), RULES)  # type: ignore[arg-type]
    return EffectRunner(Settings(max_record_bytes=2000), effect)


@pytest.mark.parametrize(
    ("content", "kind"), [("x" * 2000, "too_large"), (2**70, "internal_error"), ("\ud800", "internal_error")]
)
def test_an_answer_that_no_topic_takes_becomes_an_error(runner: EffectRunner, content: Any, kind: str) -> None:
    request = Request(VALUE, "ann", 0, 0, 0.0)
    (said,) = runner._writable(request, [EffectRecord("model-replies", {"content": content})])
    CATALOGUE["model-replies"].validate(said.value)
    assert said.value["status"] == "error"
    assert said.value["error"].startswith(f"{kind}: ")


def test_an_answer_that_fits_is_left_alone(runner: EffectRunner) -> None:
    said = [EffectRecord("model-replies", {"content": "yes"})]
    assert runner._writable(Request(VALUE, "ann", 0, 0, 0.0), said) == said


def test_what_is_wrong_with_a_request_is_logged_without_its_fields_and_values() -> None:
    with pytest.raises(ValidationError) as caught:
        CATALOGUE["model-requests"].validate({"a secret": "another", "model": 5})
    assert "secret" not in _kinds(caught.value)
    assert "extra_forbidden" in _kinds(caught.value)


async def test_a_reply_is_bounded_by_the_policy_that_was_published_last() -> None:
    effect = ModelEffect(ModelSettings(api_key="k"), RULES)  # type: ignore[arg-type]
    followed = policy_over({"models": {"bounds": {"record_bytes": 4096}}})
    request = Request(VALUE, "ann", 0, 0, 0.0)
    outcome = Outcome("x" * 5000, None, (), "stop", "local", 10, 0, 10)
    before = effect._reply(request, "ok", outcome, None).value
    await effect.follow(followed)
    after = effect._reply(request, "ok", outcome, None).value
    assert (before["status"], after["status"]) == ("ok", "error")
    assert after["error"].startswith("too_large: ")
