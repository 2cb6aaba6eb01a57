"""The bundled scenario: valid, ordered, and the same story in every round."""

import itertools
from collections import Counter

import orjson

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.data.ingest.jsonl import TOPICS
from endocrine.pipeline.data.scenario import CASTS, IDENTITIES, lines, repeat


def who(value):
    return next(value[name] for name in IDENTITIES if name in value)


def test_every_line_of_the_scenario_is_a_record_of_a_topic_that_producers_write():
    for line in lines():
        assert set(line) == {"topic", "value"}
        assert line["topic"] in TOPICS
        CATALOGUE[line["topic"]].adapter.validate_json(orjson.dumps(line["value"]))


def test_times_only_rise_and_ids_are_unique_but_for_the_one_copy():
    story = [line["value"] for line in lines()]
    copies = [value for value, count in Counter(orjson.dumps(value) for value in story).items() if count > 1]
    assert len(copies) == 1
    assert orjson.loads(copies[0])["kind"] == "opened"
    once = list({orjson.dumps(value): value for value in story}.values())
    times = [value["ts"] for value in once]
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    assert len({value["id"] for value in once}) == len(once)


def test_the_cast_is_small_and_the_story_of_demo_length():
    story = list(lines())
    assert 150 <= len(story) <= 250
    people = {who(line["value"]) for line in story if not who(line["value"]).startswith(("project:", "$"))}
    assert 6 <= len(people) <= 11


def test_round_0_is_the_scenario_and_each_round_is_the_same_again():
    assert list(repeat(1)) == list(lines())
    assert list(repeat(2, start=3)) == list(repeat(2, start=3))


def test_rounds_share_no_id_rise_in_time_and_remain_valid():
    ids, last_ts = set(), 0.0
    for number in (0, 1, 2, CASTS, CASTS + 1):
        story = list(repeat(1, start=number))
        for line in story:
            CATALOGUE[line["topic"]].adapter.validate_json(orjson.dumps(line["value"]))
        mine = {line["value"]["id"] for line in story}
        assert not ids & mine
        ids |= mine
        assert story[0]["value"]["ts"] > last_ts
        last_ts = story[-1]["value"]["ts"]


def test_identities_come_back_after_all_casts():
    cast = [{who(line["value"]) for line in repeat(1, start=number)} - {"$registry"} for number in (0, 1, 2, CASTS)]
    assert cast[0] == cast[3]
    assert not cast[0] & cast[1]
    assert not cast[1] & cast[2]


def test_cards_and_calls_name_turns_of_their_own_round():
    turns, named = set(), set()
    for line in repeat(1, start=2):
        value = line["value"]
        turns |= {value["audit_id"]} if value.get("kind") == "opened" else set()
        named |= {value["target_action_id"]} if "target_action_id" in value else set()
    assert len(named - turns) == 1  # the one card for a turn nobody knows
