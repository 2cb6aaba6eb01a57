"""Fetch sessions against a model of what a broker remembers (KIP-227), whatever is read, lost or forgotten."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.subscription_state import Assignment, SubscriptionState
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v4, FetchRequest_v11
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from endocrine.pipeline.kafka.fetch_sessions import INITIAL, NO_SESSION, NONE, Session
from endocrine.pipeline.kafka.session_fetcher import SessionFetcher, SessionRequest

UNKNOWN_SESSION, WRONG_EPOCH = 70, 71
PLACES = [TopicPartition(topic, number) for topic in ("a", "b") for number in range(2)]


class ModelBroker:
    """What a broker knows of one reader; `read` gives what it would answer about."""

    def __init__(self):
        self.id, self.epoch, self.known, self.made = NONE, 0, {}, 0
        self.room = True

    def fetch(self, delta):
        """(session id, error, partitions with their offsets)."""
        named = {
            TopicPartition(topic, number): (offset, most)
            for topic, partitions in delta.topics
            for number, offset, most in partitions
        }
        if delta.epoch == NO_SESSION:
            return NONE, 0, named
        if delta.epoch == INITIAL:
            if not self.room:
                self.id, self.known = NONE, {}
                return NONE, 0, named
            self.made += 1
            self.id, self.epoch, self.known = self.made, 1, named
            return self.id, 0, dict(named)
        if delta.session_id != self.id or self.id == NONE:
            return NONE, UNKNOWN_SESSION, {}
        if delta.epoch != self.epoch:
            return self.id, WRONG_EPOCH, {}
        self.epoch += 1
        self.known |= named
        for topic, numbers in delta.forgotten:
            for number in numbers:
                del self.known[TopicPartition(topic, number)]
        return self.id, 0, dict(self.known)


steps = st.tuples(
    st.dictionaries(st.sampled_from(PLACES), st.tuples(st.integers(0, 3), st.just(100)), min_size=1),
    st.sampled_from(["answered", "answered", "answered", "lost before", "lost after", "forgotten", "full", "room"]),
)


@given(st.integers(0, 2), st.lists(steps, max_size=30))
def test_a_broker_reads_exactly_what_is_wanted_whatever_is_lost(plain, history):
    broker, session = ModelBroker(), Session(plain)
    for wanted, fate in history:
        if fate == "forgotten":
            broker.id, broker.known = NONE, {}
        if fate in ("full", "room"):
            broker.room = fate == "room"
        delta = session.next(wanted)
        if fate == "lost before":
            session.lost()
            continue
        session_id, error, read = broker.fetch(delta)
        if fate == "lost after":
            session.lost()
            continue
        session.answered(wanted, session_id, error)
        assert error or read == wanted
        if error:  # the next one names everything
            session_id, error, read = broker.fetch(session.next(wanted))
            session.answered(wanted, session_id, error)
            assert (error, read) == (0, wanted)


def test_a_fetch_names_only_what_moved():
    broker, session = ModelBroker(), Session(0)
    wanted = dict.fromkeys(PLACES, (0, 100))
    session_id, error, _ = broker.fetch(session.next(wanted))
    session.answered(wanted, session_id, error)
    moved = wanted | {PLACES[1]: (7, 100)}
    del moved[PLACES[2]]
    delta = session.next(moved)
    assert (delta.topics, delta.forgotten) == ([("a", [(1, 7, 100)])], [("b", [0])])


def test_who_reads_little_leaves_no_session_behind():
    session = Session()
    for _ in range(2):
        delta = session.next({PLACES[0]: (0, 100)})
        assert (delta.session_id, delta.epoch) == (NONE, NO_SESSION)
        session.answered({PLACES[0]: (0, 100)}, NONE, 0)
    assert session.next({PLACES[0]: (0, 100)}).epoch == INITIAL


def test_epochs_begin_again_after_the_last():
    session = Session(0)
    session.answered({PLACES[0]: (0, 100)}, 5, 0)
    session._epoch = (1 << 31) - 1
    session.answered({PLACES[0]: (0, 100)}, 5, 0)
    assert session.next({}).epoch == 1


def test_a_broker_that_knows_no_sessions_is_asked_as_before():
    topics = [("a", [(0, 5, 100)])]
    request = SessionRequest(FetchRequest(10, 1, 1000, 1, topics), Session(0))
    assert request.build(FetchRequest_v4).topics == topics
    named = request.build(FetchRequest_v11)
    assert (named.session_id, named.session_epoch, named.topics) == (NONE, INITIAL, [("a", [(0, -1, 5, -1, 100)])])


def test_a_fetch_is_held_longer_the_longer_nothing_comes_and_briefly_where_it_leaves_partitions_out():
    held = SessionFetcher.__new__(SessionFetcher)
    held._found_nothing = 0
    growing = []
    for _ in range(6):
        growing.append(held._hold_ms(500, left_out=False, whole=True))
        held._found_nothing += 1
    assert growing == [500, 1000, 2000, 4000, 5000, 5000]
    assert held._hold_ms(500, left_out=False, whole=False) == 500  # what is paused may be resumed at any time
    assert held._hold_ms(10, left_out=False, whole=True) == 10  # who chose so little reads what lies there already
    assert held._hold_ms(9000, left_out=False, whole=True) == 9000
    assert held._hold_ms(500, left_out=True, whole=False) == 10


@pytest.mark.parametrize(("placed", "leaders", "held_ms"), [(True, True, 5000), (False, True, 50), (True, False, 50)])
def test_a_fetch_is_held_briefly_while_it_is_not_known_where_to_read_some_partition(
    monkeypatch, placed, leaders, held_ms
):
    """It is in no fetch, and would wait until the one ends that was made without it."""
    request = FetchRequest(5000, 1, 1000, 1, [("a", [(0, 5, 100)])])
    theirs = SessionFetcher.__bases__[0]
    monkeypatch.setattr(theirs, "_get_actions_per_node", lambda *_: ([(1, request)], {}, 0.2, not leaders, []))
    made = SessionFetcher.__new__(SessionFetcher)
    made._records, made._sessions, made._found_nothing, made._leaders_known = {}, {}, 0, False
    made._looked_at, made._paused = None, set()
    places = {PLACES[0]: True, PLACES[1]: placed}
    state = {place: SimpleNamespace(has_valid_position=valid, paused=False) for place, valid in places.items()}
    made._in_flight, made._pending_tasks = set(), set()
    made._client = SimpleNamespace(cluster=SimpleNamespace(brokers=lambda: [1]))
    (((_, fetch),), *_) = made._get_actions_per_node(SimpleNamespace(tps=set(state), state_value=state.get))
    assert fetch._max_wait_ms == held_ms


def looking(paused: Iterable[TopicPartition] = (), brokers: int = 1) -> tuple[SessionFetcher, Assignment]:
    """A fetcher that has looked at an assignment of four partitions once; their leaders share them out."""
    places = [TopicPartition(topic, number) for topic in ("a", "b") for number in (0, 1)]
    assignment = Assignment(places)
    for offset, place in enumerate(places):
        assignment.state_value(place).seek(offset)
    for place in paused:
        assignment.state_value(place).pause()
    made = SessionFetcher.__new__(SessionFetcher)
    made._records, made._sessions, made._found_nothing, made._leaders_known = {}, {}, 0, False
    made._looked_at, made._paused, made._resumed, made._in_flight = None, set(), None, set()
    made._pending_tasks = set()
    made._client_rack, made._fetcher_timeout, made._isolation_level = None, 0.2, 1
    made._fetch_max_wait_ms, made._fetch_min_bytes, made._fetch_max_bytes = 500, 1, 1000
    made._max_partition_fetch_bytes = 100
    cluster = SimpleNamespace(
        brokers=lambda: [SimpleNamespace(nodeId=node) for node in range(brokers)],
        leader_for_partition=lambda place: place.partition % brokers,
    )
    made._client = SimpleNamespace(cluster=cluster)
    made._get_actions_per_node(assignment)
    return made, assignment


def shown(actions: Any) -> tuple[Any, ...]:
    requests, resets, wait_s, invalid_metadata, _ = actions
    held = sorted((node, request._max_wait_ms, sorted(request._wanted.items())) for node, request in requests)
    return held, dict(resets), wait_s, invalid_metadata


@pytest.mark.parametrize("brokers", [1, 2])
@pytest.mark.parametrize("paused", [(), [TopicPartition("b", 1)], [TopicPartition("a", 0), TopicPartition("b", 0)]])
async def test_the_short_way_to_the_next_fetches_gives_what_aiokafka_gives(paused, brokers):
    made, assignment = looking(paused, brokers)
    assert made._steady(assignment) is not None
    short = shown(made._get_actions_per_node(assignment))
    made._looked_at = None  # the long way
    assert short == shown(made._get_actions_per_node(assignment))


@pytest.mark.parametrize("lost", ["position", "leader", "taken", "assignment"])
async def test_the_short_way_is_left_where_something_else_is_to_be_done(lost):
    made, assignment = looking()
    if lost == "position":
        assignment.state_value(TopicPartition("a", 0)).await_reset(0)
    elif lost == "leader":
        made._client.cluster.leader_for_partition = lambda place: None
        made._client.cluster.brokers = lambda: set()
    elif lost == "taken":
        made._records = {TopicPartition("a", 0): "what was fetched"}
    else:
        assignment = looking()[1]
    assert made._steady(assignment) is None


async def test_one_future_is_waited_for_in_place_of_those_of_paused_partitions_and_is_done_when_one_is_resumed():
    paused = [TopicPartition("a", 0), TopicPartition("b", 0)]
    made, assignment = looking(paused)
    *_, waits = made._get_actions_per_node(assignment)
    *_, again = made._get_actions_per_node(assignment)
    assert len(waits) == 1
    assert waits == again
    assignment.state_value(paused[1]).resume()
    await asyncio.sleep(0)
    assert waits[0].done()
    *_, waits = made._get_actions_per_node(assignment)
    assert not waits[0].done()


async def go_round(turns: int) -> None:
    """Let the event loop turn so many times."""
    for _ in range(turns):
        await asyncio.sleep(0)


@pytest.mark.parametrize("turns", range(6))
async def test_a_new_assignment_is_fetched_at_once_in_whichever_turn_of_the_loop_the_last_fetch_ends(turns):
    sent: list[asyncio.Future[Any]] = []

    async def send(node, request):
        sent.append(asyncio.get_running_loop().create_future())
        return await sent[-1]

    cluster = SimpleNamespace(brokers=lambda: [SimpleNamespace(nodeId=1)], leader_for_partition=lambda place: 1)
    client = SimpleNamespace(cluster=cluster, send=send, _loop=asyncio.get_running_loop(), _metadata_max_age_ms=1000)
    subscriptions = SubscriptionState()
    made = SessionFetcher(client, subscriptions)
    try:
        for number, place in enumerate(PLACES, 1):
            subscriptions.assign_from_user([place])
            subscriptions.seek(place, 0)
            if len(sent) == number - 1 > 0:
                await go_round(turns)
                if not sent[-1].done():
                    sent[-1].set_result(SimpleNamespace(API_VERSION=4, topics=[]))
            await go_round(30)
            assert len(sent) >= number
    finally:
        await made.close()


def test_a_request_names_after_the_answer_what_the_answer_is_about():
    wanted = {TopicPartition("a", 0): (5, 100), TopicPartition("a", 1): (7, 100)}
    request = SessionRequest(FetchRequest(10, 1, 1000, 1, []), Session(0), wanted)
    assert request.build(FetchRequest_v4).topics == [("a", [(0, 5, 100), (1, 7, 100)])]
    answer = SimpleNamespace(API_VERSION=11, topics=[("a", [(1, 0, 9)])], session_id=1, error_code=0)
    assert request.answered(answer)
    assert request.topics == [("a", [(1, 7, 100)])]
