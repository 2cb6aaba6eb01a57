"""Replay of a history whose subject was erased: what is left is proved, what cannot be is counted, and no more."""

import random

import orjson
import pytest

import histories
import memory_histories
from encrypting import PARTITIONS, WRAPPING, on_topic, table
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.content_keys import TOPIC
from endocrine.pipeline.core.encryption import key_ids_in
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.data.erasure.plan import Erasure, Plan, commands
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.replay.recorded_keys import recorded_table
from endocrine.pipeline.replay.recorded_seals import RecordedSeals, prepared
from endocrine.pipeline.replay.report import Scope
from endocrine.pipeline.replay.verify import ALL, Verifier
from recorded import Recording, randomly

POLICY = shipped_policy()


def lines(seed, count=150):
    rng = random.Random(seed)
    return [*histories.random_history(rng, count), *memory_histories.memory_history(rng, count)]


def recording(seed, some):
    made = Recording(table())
    made.publish(POLICY)
    made.feed(some)
    made.run(POLICY, randomly(seed))
    return made


def erased(made, *subjects):
    """Their keys are destroyed, and workers know it."""
    keys = table()
    for number in range(PARTITIONS):
        keys.add(made.logs[TOPIC, number])
    destroying = keys.destroying(subjects, 5.0)
    assert destroying
    for out in destroying:
        made.produce(out, ())
    keys.add(on_topic(destroying))
    made.keys = keys


def verified(logs, wrapping=WRAPPING, scope=ALL):
    held = prepared(logs, RecordedSeals())
    keys = recorded_table(wrapping, held, PARTITIONS)
    verifier = Verifier(held, lambda digest: POLICY, partitions=PARTITIONS, sizes=Sizes(), keys=keys, scope=scope)
    return verifier.run(AGENTS)


@pytest.fixture(scope="module")
def history():
    """Before and after an erasure of Ann, who comes back."""
    some = lines(1, 200)
    made = recording(1, some[:250])
    erased(made, "ann")
    made.feed(some[250:])
    made.run(POLICY, randomly(2))
    return made.logs


def test_a_history_of_encrypted_content_is_proved_byte_for_byte():
    made = recording(7, lines(7, 80))
    assert sum(bool(key_ids_in(raw.value)) for log in made.logs.values() for raw in log) > 50
    report = verified(made.logs)
    assert report.proved, report.findings
    assert report.erased == 0


def test_after_an_erasure_the_rest_is_proved_and_what_was_decided_from_it_is_counted(history):
    report = verified(history)
    assert report.proved, (report.findings, report.not_verifiable)
    assert report.erased > 20
    assert report.compared > 3 * report.erased


def test_only_what_is_of_the_erased_subject_cannot_be_proved(history):
    """Everybody else's records are compared, as if nobody had been erased."""
    of_others = sum(
        dict(raw.headers).get("ce_subject") in (b"bob", b"cy", b"dee")
        for (topic, _), log in history.items()
        for raw in log
        if "endocrine-cut" in dict(raw.headers) and topic != "journal"
    )
    assert verified(history).equal >= of_others > 100


def test_from_its_erasure_on_a_subject_who_comes_back_is_proved_again(history):
    made = recording(5, lines(5, 100))
    erased(made, "ann")
    detected = {"identity": "ann", "phase": "exploration", "risk_level": "low", "turn_count": 1, "ulm": {}}
    again = {"topic": "detections", "value": {"id": "back", **detected, "ts": 1_760_009_000.0}}
    bonds = Scope(identity="ann", topics=frozenset(["bonds"]))
    plan = Plan("ann", ["ann"])
    (command,) = commands(plan, [Erasure("bonds", "ann", "ann", "ann")], by="op", ts=1_760_008_000.0)
    made.feed([again])
    made.run(POLICY, randomly(5))
    before = verified(made.logs, scope=bonds)
    for line in ({"topic": "commands", "value": command}, {**again, "value": {**again["value"], "id": "back again"}}):
        made.feed([line])
        made.run(POLICY, randomly(5))
    after = verified(made.logs, scope=bonds)
    assert before.proved
    assert after.proved
    assert after.equal > before.equal
    assert after.erased > 0


def test_a_byte_of_somebody_elses_record_is_still_found(history):
    changed = 0
    for (topic, number), log in history.items():
        for place, raw in enumerate(log):
            headers = dict(raw.headers)
            if topic != "modulations" or headers.get("ce_subject") != b"bob":
                continue
            value = orjson.dumps({**orjson.loads(raw.value), "revision": 99})
            logs = {**history, (topic, number): [*log[:place], raw._replace(value=value), *log[place + 1 :]]}
            report = verified(logs)
            assert not report.proved
            changed += 1
            break
    assert changed


def test_an_input_of_the_erased_subject_that_was_changed_is_found(history):
    """The journal commits to ciphertext, so it needs no key."""
    (topic, number), log, place = next(
        (where, log, place)
        for where, log in history.items()
        for place, raw in enumerate(log)
        if where[0] == "interactions" and raw.key == b"ann" and key_ids_in(raw.value)
    )
    raw: Fetched = log[place]
    value = {**orjson.loads(raw.value)}
    value["encrypted"] = value["encrypted"][:-8] + "AAAAAAA="
    logs = {**history, (topic, number): [*log[:place], raw._replace(value=orjson.dumps(value)), *log[place + 1 :]]}
    assert verified(logs).counts["inputs changed"] > 0


def test_without_the_file_of_keys_nothing_is_called_proved(history):
    report = verified(history, ())
    assert not report.proved
    assert any("ENDOCRINE_CONTENT_KEY_FILE" in why for why in report.not_verifiable)


def test_a_key_that_was_lost_is_no_erasure():
    """A record whose key is nowhere cannot be verified; it does not count as erased."""
    made = recording(3, lines(3, 60))
    logs = {place: [] if place[0] == TOPIC else log for place, log in made.logs.items()}
    report = verified(logs)
    assert not report.proved
    assert report.erased == 0
