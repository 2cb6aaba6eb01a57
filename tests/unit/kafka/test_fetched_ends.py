"""Ends of logs from answers to fetches: told where an answer proves them, and not told where it does not."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.protocol.fetch import FetchRequest, FetchResponse_v4, FetchResponse_v11
from aiokafka.structs import TopicPartition

from endocrine.pipeline.kafka.fetch_sessions import Session
from endocrine.pipeline.kafka.fetched_ends import FetchedEnds, Since
from endocrine.pipeline.kafka.fetching import Fetched
from endocrine.pipeline.kafka.session_fetcher import SessionFetcher, SessionRequest, _Client

A, B = TopicPartition("a", 0), TopicPartition("b", 0)
NODE = 1


def asked(ends: FetchedEnds, *news: tuple[TopicPartition, int, int], node: int = NODE) -> None:
    """A fetch of both partitions, and its answer."""
    ends.answered(node, ends.next(), (A, B), news)


def test_what_came_before_a_fetch_was_sent_is_older_than_the_ends_that_its_answer_tells():
    ends = FetchedEnds()
    asked(ends, (A, 3, 3), (B, 5, 5))
    since = Since(ends, ends.sent)
    assert since.end_of(A) is None
    asked(ends, (A, 4, 4), (B, 5, 5))
    assert (since.end_of(A), since.end_of(B)) == (4, 5)


def test_the_answer_to_a_fetch_that_was_under_way_proves_nothing():
    ends = FetchedEnds()
    under_way = ends.next()
    since = Since(ends, ends.sent)
    ends.answered(NODE, under_way, (A, B), [(A, 3, 3)])
    assert since.end_of(A) is None
    assert Since(ends, 0).end_of(A) == 3


def test_a_partition_that_an_answer_leaves_out_ends_where_it_ended():
    ends = FetchedEnds()
    asked(ends, (A, 3, 3), (B, 5, 5))
    since = Since(ends, ends.sent)
    asked(ends)
    assert (since.end_of(A), since.end_of(B)) == (3, 5)


def test_a_partition_that_was_never_named_or_is_not_fetched_any_more_is_not_told():
    ends = FetchedEnds()
    asked(ends, (A, 3, 3))
    since = Since(ends, ends.sent)
    asked(ends)
    assert since.end_of(B) is None
    ends.answered(NODE, ends.next(), (B,), [])
    assert since.end_of(A) is None, "a paused partition is in no fetch"


def test_an_end_that_a_transaction_holds_back_is_not_told_for_its_answer_need_not_say_when_it_ends():
    ends = FetchedEnds()
    asked(ends, (A, 3, 3))
    since = Since(ends, ends.sent)
    asked(ends, (A, 7, 4))
    assert since.end_of(A) is None
    asked(ends)
    assert since.end_of(A) is None
    asked(ends, (A, 8, 8))
    assert since.end_of(A) == 8


def test_an_error_takes_back_what_was_told():
    ends = FetchedEnds()
    asked(ends, (A, 3, 3))
    since = Since(ends, ends.sent)
    asked(ends, (A, -1, -1))
    assert since.end_of(A) is None


def test_each_broker_tells_of_its_own_partitions():
    ends = FetchedEnds()
    ends.answered(1, ends.next(), (A,), [(A, 3, 3)])
    since = Since(ends, ends.sent)
    ends.answered(2, ends.next(), (B,), [(B, 9, 9)])
    assert (since.end_of(A), since.end_of(B)) == (None, 9)


def test_what_comes_now_waits_for_a_later_fetch():
    ends = FetchedEnds()
    since = Since(ends, 0)
    asked(ends, (A, 3, 3))
    assert since.end_of(A) == 3
    assert since.now().end_of(A) is None


# ---- what a broker answers ----


def answer(*partitions: Any, throttled: int = 0, error: int = 0) -> Any:
    return FetchResponse_v11(throttled, error, 77, [("a", list(partitions))])


class Connection:
    """The client below ours: gives one answer after the other."""

    def __init__(self, answers: Sequence[Any]) -> None:
        self.answers = iter(answers)

    async def send(self, node_id: int, request: Any, **named: Any) -> Any:
        found = next(self.answers)
        if isinstance(found, Exception):
            raise found
        return found


async def reported(*answers: Any, rack: str = "") -> list[int | None]:
    """The end of A after each answer, for what came before its fetch was sent."""
    ends = FetchedEnds()
    client, session = _Client(Connection(answers), ends), Session(plain=0)
    found = []
    for _ in answers:
        since = Since(ends, ends.sent)
        request = SessionRequest(FetchRequest(500, 1, 1 << 20, 1, [("a", [(0, 5, 1 << 20)])], rack), session)
        with suppress(OSError):
            await client.send(NODE, request)
        found.append(since.end_of(A))
    return found


async def test_each_answer_of_a_session_tells_until_there_is_an_error_or_none(monkeypatch):
    monkeypatch.setattr("endocrine.pipeline.kafka.session_fetcher._RETRY_S", 0)
    named = (0, 0, 9, 9, 0, None, -1, b"")
    assert await reported(answer(named), answer(), answer(error=71), answer(named)) == [9, 9, None, 9]
    assert await reported(answer(named), OSError("gone"), answer(named)) == [9, None, 9]
    assert await reported(answer((0, 6, -1, -1, -1, None, -1, b"")), answer()) == [None, None]


async def test_an_answer_of_a_throttled_client_tells_nothing_though_it_names_no_partition():
    assert await reported(answer((0, 0, 9, 9, 0, None, -1, b"")), answer(throttled=20)) == [9, None]


async def test_a_follower_tells_nothing_for_it_learns_of_ends_late():
    assert await reported(answer((0, 0, 9, 9, 0, None, -1, b"")), rack="a") == [None]


async def test_a_broker_that_knows_no_sessions_is_asked_for_ends_as_before():
    old = FetchResponse_v4(0, [("a", [(0, 0, 9, 9, None, b"")])])
    assert await reported(old) == [None]


async def test_what_is_taken_from_a_fetcher_knows_which_fetches_were_sent_before(monkeypatch):
    async def taken(self: Any, *given: Any, **named: Any) -> Any:
        return {A: Fetched(first=1, after=2)}

    monkeypatch.setattr(fetcher.Fetcher, "fetched_records", taken)
    one = object.__new__(SessionFetcher)
    one.ends = FetchedEnds()
    one.ends.next()
    found = await one.fetched_records([A], timeout=0)
    assert found[A].since == Since(one.ends, 1)


@pytest.mark.parametrize("response", [FetchResponse_v11])
def test_answers_have_their_parts_in_the_order_in_which_they_are_read(response):
    partition = response.SCHEMA.fields[-1].array_of.fields[1].array_of
    assert partition.names[:4] == ("partition", "error_code", "highwater_offset", "last_stable_offset")
