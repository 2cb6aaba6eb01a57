"""How far requests are finished; what is known of effects; the breaker; the key."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.connectors.commit_position import CommitPosition
from endocrine.pipeline.connectors.model.breaker import Breaker
from endocrine.pipeline.connectors.model.settings import ModelSettings, missing_key
from endocrine.pipeline.connectors.readback import REMEMBERED, EffectLedger, StartMarks
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.process.settings import Settings
from properties import examples


@given(st.permutations(range(20)), st.integers(0, 20))
@settings(max_examples=examples(100))
def test_what_is_committed_is_below_everything_unfinished(order: list[int], count: int) -> None:
    position, finished = CommitPosition(), set()
    for offset in range(20):
        assert position.take(100 + offset)
    for offset in order[:count]:
        position.finish(100 + offset)
        finished.add(offset)
        assert position.next_offset is not None
        assert set(range(position.next_offset - 100)) <= finished
    lowest = min(set(range(20)) - finished, default=20)
    assert position.next_offset == 100 + lowest


def test_an_offset_is_taken_once() -> None:
    position = CommitPosition()
    assert position.next_offset is None
    assert position.take(5)
    position.finish(5)
    assert not position.take(5)
    assert position.take(9)  # compaction and transactions leave holes
    assert (position.next_offset, position.waiting) == (9, 1)


def known(*answered: str) -> EffectLedger:
    return EffectLedger(answered, StartMarks(Settings(), "tools", 0, 0, (), simulated_seals()))


def test_an_effect_that_is_answered_or_under_way_is_not_taken_again() -> None:
    effects = known("a")
    assert not effects.claim("a")
    assert effects.claim("b")
    assert not effects.claim("b")
    effects.release("b")
    assert effects.claim("b")


def test_memory_of_answers_is_bounded_and_keeps_the_youngest() -> None:
    effects = known()
    for number in range(REMEMBERED + 10):
        effects.claim(str(number))
    assert not effects.claim(str(REMEMBERED + 9))
    assert effects.claim("0")


def test_memory_of_others_start_marks_is_bounded_and_keeps_the_youngest() -> None:
    marks = StartMarks(Settings(), "tools", 0, 0, map(str, range(REMEMBERED + 10)), simulated_seals())
    assert len(marks.others) == REMEMBERED
    assert str(REMEMBERED + 9) in marks.others


def test_a_breaker_opens_rests_and_lets_one_try_through() -> None:
    now = [0.0]
    breaker = Breaker(2, 10.0, lambda: now[0])
    for _ in range(2):
        assert breaker.admit()
        breaker.failed()
    assert breaker.open
    assert not breaker.admit()
    now[0] = 10.0
    assert breaker.admit()
    assert not breaker.admit()  # one at a time
    breaker.failed()
    assert not breaker.admit()
    assert breaker.wait_s() == 10.0
    now[0] = 20.0
    assert breaker.admit()
    breaker.succeeded()
    assert breaker.admit()
    assert not breaker.open


def test_a_try_that_was_cut_short_leaves_the_breaker_as_it_was() -> None:
    now = [0.0]
    breaker = Breaker(1, 10.0, lambda: now[0])
    assert breaker.admit()
    breaker.failed()
    now[0] = 10.0
    assert breaker.admit()
    breaker.gave_up()
    assert breaker.admit()


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "ENDOCRINE_MODEL_API_KEY"])
def test_either_name_of_the_key_counts_and_it_is_not_shown(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv(name, "sk-secret")
    settings = ModelSettings()
    assert missing_key(settings, {}) is None
    assert "sk-secret" not in repr(settings)


@pytest.mark.parametrize(("value", "said"), [(None, "is not set"), ("", "is empty")])
def test_without_a_key_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch, value: str | None, said: str) -> None:
    monkeypatch.delenv("ENDOCRINE_MODEL_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    environment = {} if value is None else {"OPENAI_API_KEY": value}
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    told = missing_key(ModelSettings(), environment)
    assert told is not None
    assert said in told
    assert "OPENAI_API_KEY" in told
