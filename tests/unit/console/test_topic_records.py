"""A record on a topic's page: what is shown, where it links, how it leaves as a file."""

import csv
import io

import orjson
import pytest

from endocrine.pipeline.console.browsing.example import example_of
from endocrine.pipeline.console.browsing.export import exported
from endocrine.pipeline.console.browsing.shown import HIDDEN, shown_record
from endocrine.pipeline.console.settings import ConsoleSettings
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.process.environment import SettingsError
from topic_records import caller, raw

ALL = caller("read", "content")


@pytest.mark.parametrize("topic", sorted(CATALOGUE))
def test_the_example_of_a_topic_is_a_record_of_it(topic):
    CATALOGUE[topic].validate(example_of(topic))


def test_a_derived_record_links_to_its_cause_and_to_its_batch():
    headers = {"endocrine-origin": b"modulation/interactions/3/17/0", "endocrine-cut": b"modulation/3/9"}
    links = shown_record(ALL, "modulations", raw(5, "ann", b"{}", headers)).links
    assert [(link.topic, link.query) for link in links] == [
        ("interactions", {"partition": "3", "offset": "17"}),
        ("journal", {"partition": "3", "key": "modulation/3", "field": "batch", "equals": "9", "since": "95.000"}),
    ]


def test_a_batch_of_the_journal_links_to_what_it_read():
    value = {"agent": "modulation", "partition": 3, "batch": 9, "runs": [["interactions", 17, 1], ["signals", 4, 3]]}
    links = shown_record(ALL, "journal", raw(5, "modulation/3", orjson.dumps(value), {})).links
    assert [(link.text, link.query["offset"]) for link in links] == [
        ("read interactions/3/17", "17"),
        ("read signals/3/4 to 6", "4"),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {"endocrine-origin": b"a/nowhere/1/2/0"},
        {"endocrine-origin": b"a/interactions/-1/x/0"},
        {"endocrine-origin": b"\xff"},
        {"endocrine-cut": b"modulation/3"},
        {"endocrine-cut": b"a/b/c"},
        {"endocrine-rekeyed-from": b"//"},
    ],
)
def test_headers_that_name_no_record_link_nowhere(headers):
    assert shown_record(ALL, "modulations", raw(5, "ann", b"{}", headers)).links == []


@pytest.mark.parametrize("value", [{"runs": 3}, {"partition": 1, "runs": [["interactions", "x", 1], 3, []]}, {}])
def test_a_strangers_record_on_the_journal_links_nowhere(value):
    assert shown_record(ALL, "journal", raw(5, "k", orjson.dumps(value), {})).links == []


def test_without_the_scope_content_no_text_of_people_and_no_header_of_others_is_shown():
    value = b'{"identity":"ann","prompt":"secret"}'
    one = shown_record(caller("read"), "interactions", raw(5, "ann", value, {"x-note": b"secret", "ce_id": b"1"}))
    assert one.value == {"identity": "ann"}
    assert one.headers == [("ce_id", "1")]
    assert shown_record(caller("read"), "signals.dlq", raw(5, "ann", value, {})).value == HIDDEN
    assert shown_record(caller("read"), "interactions", raw(5, "ann", b'"secret"', {})).value == HIDDEN
    assert shown_record(caller("read"), "interactions", raw(5, "ann", b"secret", {})).value == "(not JSON)"


def test_of_an_images_bytes_a_page_shows_how_many_there_are():
    value = b'{"identity":"ann","piece":0,"data":"iVBORw=="}'
    one = shown_record(ALL, "images", raw(5, "ann", value, {}))
    assert one.value == {"identity": "ann", "piece": 0, "data": "(8 characters of base64)"}
    assert shown_record(caller("read"), "images", raw(5, "ann", value, {})).value == {"identity": "ann", "piece": 0}


@pytest.mark.parametrize("value", [None, b"", b"\xff\xfe", b"[1]", b'{"a":1e400}', b"null", b'"\\ud800"'])
def test_any_value_is_shown_and_leaves_as_a_file(value):
    one = shown_record(ALL, "interactions", raw(5, None, value, {"h": b"\xff"}))
    assert one.text
    assert exported("csv", [one], None)
    assert orjson.loads(exported("jsonl", [one], None))["offset"] == 5


def test_a_file_that_does_not_hold_all_says_so_in_its_last_line():
    records = [shown_record(ALL, "interactions", raw(n, "=cmd()", b'{"a":1}', {})) for n in range(2)]
    lines = exported("jsonl", records, "the newest 2").splitlines()
    assert orjson.loads(lines[-1]) == {"cut": "the newest 2"}
    rows = list(csv.reader(io.StringIO(exported("csv", records, "the newest 2").decode())))
    assert rows[1] == ["interactions", "0", "0", "1970-01-01T00:01:40.000Z", "'=cmd()", "{}", '{"a":1}']
    assert rows[-1] == ["cut: the newest 2"]
    assert len(exported("jsonl", records, None).splitlines()) == 2


@pytest.mark.parametrize("address", ["javascript:alert(1)//{topic}{partition}{offset}", "https://a/{topic}", "/x"])
def test_an_address_of_another_topic_browser_that_cannot_be_one_is_refused(address):
    with pytest.raises(SettingsError, match="ENDOCRINE_CONSOLE_RECORD_URL"):
        ConsoleSettings(record_url=address)
