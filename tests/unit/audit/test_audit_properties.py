"""Invariants: order of arrival, bounded memory, nothing that must not be said."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.core.hash_chain import Chains, link_hash
from properties import examples

SECRETS = ("xylophone", "hunter2secret")


def facts_of_a_turn(records):
    """One turn by topic: what is on one topic keeps its order."""
    blocked = {"decision": "denied", "reason": "not_in_allowlist", "incident_id": "i1"}
    secret = {"url": "u", "api_key": "hunter2secret", "nested": {"password": "hunter2secret"}}
    return {
        "interactions": [records.opened()],
        "modulations": [
            records.modulation(signals=[{"name": "trust", "level": 1, "source": "p", "ts": 1.0, "fate": "expired"}]),
            records.modulation(revision=1, ts=101.5, parameters={"safety_mode": "strict"}),
        ],
        "tool-calls": [records.call("c1", arguments=secret), records.call("c2", ts=101.2)],
        "tool-decisions": [records.decision("c1"), records.decision("c2", ts=101.2, **blocked)],
        "tool-results": [records.result("c1", args_summary="u?token=hunter2secret")],
        "incidents": [
            records.incident("i1"),
            records.incident("i2", kind="moderation", reason="password=hunter2secret"),
        ],
        "model-requests": [records.request()],
        "model-replies": [records.reply(error="no: xylophone")],
    }


def interleaved(data, queues):
    """All records, each topic in its own order, the topics shuffled together."""
    queues = {topic: list(queue) for topic, queue in queues.items()}
    order = []
    while queues:
        topic = data.draw(st.sampled_from(sorted(queues)))
        order.append(queues[topic].pop(0))
        if not queues[topic]:
            del queues[topic]
    return order


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_the_order_in_which_topics_arrive_does_not_change_the_bundle(ear, records, data):
    straight = [record for queue in facts_of_a_turn(records).values() for record in queue]
    [expected] = ear().feed(*straight, records.closed())
    [bundle] = ear().feed(*interleaved(data, facts_of_a_turn(records)), records.closed())
    assert orjson.dumps(bundle) == orjson.dumps(expected)


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_wherever_the_closing_arrives_no_fact_is_lost_and_none_told_twice(ear, records, data):
    queues = facts_of_a_turn(records)
    queues["interactions"].append(records.closed())
    said = ear().feed(*interleaved(data, queues), records.tick(1e6))
    assert [bundle["supplement"] for bundle in said] == list(range(len(said)))
    assert [bundle["status"] for bundle in said] == ["closed", *["supplement"] * (len(said) - 1)]
    named = [(topic, name) for bundle in said for topic, names in bundle["records"].items() for name in names]
    given = [(topic, name) for queue in queues.values() for topic, name, _ in queue]
    assert sorted(named) == sorted(given)


@settings(max_examples=examples(60), deadline=None)
@given(st.data())
def test_no_bundle_holds_text_of_the_prompt_or_of_answers_nor_secrets(ear, records, data):
    queues = facts_of_a_turn(records)
    queues["interactions"].append(records.closed())
    listener = ear()
    said = listener.feed(*interleaved(data, queues), records.tick(1e6))
    for text in (orjson.dumps(said), orjson.dumps(listener.state)):
        assert not [secret for secret in SECRETS if secret.encode() in text]


def anything(records, rng, number):
    """Any record of any of 13 turns, whether it makes sense or not."""
    turn, ts, revision = f"t{rng.randint(0, 12)}", float(number), rng.randint(0, 5)
    made = [
        records.opened(turn, ts=ts),
        records.closed(turn, ts=ts),
        records.modulation(turn, revision=revision, ts=ts),
        records.call(f"c{number}", turn, ts=ts),
        records.decision(f"c{number - 1}", turn, ts=ts),
        records.result(f"c{number - 2}", turn, ts=ts),
        records.incident(f"i{number}", turn, ts=ts),
        records.request(f"r{number}", turn, ts=ts),
        records.reply(f"r{number - 1}", turn, ts=ts),
    ]
    return rng.choice(made)


@settings(max_examples=examples(20), deadline=None)
@given(st.randoms(use_true_random=False))
def test_memory_is_bounded_and_every_turn_has_at_most_one_bundle(ear, records, rng):
    few = {"open_turns": 3, "audited_turns": 500, "calls": 2, "incidents": 2, "requests": 2, "records": 3, "signals": 2}
    listener = ear(audit={**few, "policies": 1, "revisions": 2})
    bundles = []
    for number in range(300):
        said = listener.feed(anything(records, rng, number))
        bundles += [bundle for bundle in said if bundle["supplement"] == 0]
        turns = (listener.state or {"open": {}})["open"]
        assert len(turns) <= few["open_turns"]
        for known in turns.values():
            assert max(len(known[kind]) for kind in ("calls", "incidents", "requests", "signals", "revisions")) <= 2
            assert all(len(names) <= few["records"] for names in known["records"].values())
    names = [bundle["audit_id"] for bundle in bundles]
    assert len(names) == len(set(names))


def test_the_largest_numbers_and_odd_words_that_producers_may_send_can_be_hashed(ear, records):
    most, word = 2**53 - 1, "\u2028\ufffe\U0001f642\x00"
    usage = {"input_tokens": most, "output_tokens": most}
    facts = [
        records.opened(session_id=word, client=word),
        records.modulation(),
        records.call(step=most, tool=word, arguments={word: word}),
        records.decision(function=word),
        records.result(duration_ms=1.7976931348623157e308, args_summary=word),
        records.request(parameters={"seed": 2**53, "n": most}, dropped=[word]),
        records.reply(usage=usage, latency_ms=5e-324, finish_reason=word),
        records.request("r2"),
        records.reply("r2", usage=usage),
    ]
    [bundle] = ear().feed(*facts, records.closed(usage=usage))
    linked = Chains(None).linked("audits", bundle)
    assert linked["hash"] == link_hash(orjson.loads(orjson.dumps(linked)))
    assert bundle["budget"]["replies"] == usage
    assert bundle["models"][0]["parameters"] == {"n": most}


def test_the_ring_of_audited_turns_is_bounded(ear, records):
    listener = ear(audit={"audited_turns": 3})
    for number in range(10):
        turn = f"t{number}"
        listener.feed(records.opened(turn), records.modulation(turn), records.closed(turn))
    assert [entry[0] for entry in listener.state["audited"]] == ["t7", "t8", "t9"]
