"""aiokafka's fetcher with fetch sessions, and without waits behind partitions that were left out.

`endocrine.pipeline.kafka.fetching` installs it. Both touch private parts of aiokafka, and nothing else does;
`tests/unit/kafka/test_private_parts.py` names what they rely on.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from endocrine.pipeline.kafka.fetch_sessions import FIRST_VERSION, Session, Wanted, named_by_topic
from endocrine.pipeline.kafka.fetched_ends import FetchedEnds, Since

LEFT_OUT_WAIT_MS = 10
"""How long the broker may hold a fetch that leaves out partitions, because what was fetched of them is not read yet:
until it answers they are not fetched."""
UNPLACED_WAIT_MS = 50
"""The same where of some partitions it is not known yet where to read: a moment, after an assignment or a seek."""
PATIENT_FROM_MS, MOST_PATIENT_MS = 200, 5000
"""Where a consumer lets the broker hold a fetch at least so long, each fetch that finds nothing doubles it, up to the
other: who reads nothing for a while costs nothing. Only fetches of all partitions, which any record ends."""
QUIET_S = 10.0
"""Seconds between looks at all partitions where nothing asks for one. aiokafka looks every 0.2 s, but everything that
could change what is to be fetched wakes it: an answer, a record taken, a seek, a resumed partition, an assignment."""
_RETRY_S = 0.1
Report = tuple[Collection[TopicPartition], list[tuple[TopicPartition, int, int]]]
"""The last arguments of `FetchedEnds.answered`."""


class SessionRequest(FetchRequest):  # type: ignore[misc]
    """A fetch of all its partitions, as aiokafka sees it, which names to the broker what changed.

    wanted: offset and most bytes by partition, where that is known already; else what the request names.
    """

    def __init__(self, request: FetchRequest, session: Session, wanted: Wanted | None = None) -> None:
        super().__init__(
            request._max_wait_ms,
            request._min_bytes,
            request._max_bytes,
            request._isolation_level,
            request._topics,
            request._rack_id,
        )
        self._session = session
        self._wanted: Wanted = wanted or {
            TopicPartition(topic, number): (offset, most)
            for topic, partitions in request._topics
            for number, offset, most in partitions
        }

    def build(self, request_struct_class: Any) -> Any:
        """See aiokafka's Request."""
        if request_struct_class.API_VERSION < FIRST_VERSION:
            self._topics = named_by_topic(self._wanted.items())
            return super().build(request_struct_class)
        delta = self._session.next(self._wanted)
        named = FetchRequest(
            self._max_wait_ms, self._min_bytes, self._max_bytes, self._isolation_level, delta.topics, self._rack_id
        )
        built = named.build(request_struct_class)
        built.session_id, built.session_epoch = delta.session_id, delta.epoch
        built.forgotten_topics_data = delta.forgotten
        return built

    def answered(self, response: Any) -> bool:
        """Report the answer to the session; False where it is an error.

        The request names from now on what the answer is about, which is all that aiokafka asks it for.
        """
        here = [TopicPartition(topic, part[0]) for topic, parts in response.topics for part in parts]
        self._topics = named_by_topic((place, self._wanted[place]) for place in here)
        if response.API_VERSION < FIRST_VERSION:
            return True
        self._session.answered(self._wanted, response.session_id, response.error_code)
        return not response.error_code

    def reported_by(self, response: Any) -> Report | None:
        """Return what an answer without an error reports of ends; None where it reports nothing.

        A broker that throttles answers at once and names no partition, whatever has moved. One that was chosen by our
        rack may be a follower, which learns of ends late.
        """
        if response.API_VERSION < FIRST_VERSION or response.throttle_time_ms or self._rack_id:
            return None
        news = []
        for topic, partitions in response.topics:
            for number, error, written, readable, *_ in partitions:
                known = (-1, -1) if error else (written, readable)
                news.append((TopicPartition(topic, number), *known))
        return self._wanted, news

    def lost(self) -> None:
        """Report that there is no answer."""
        self._session.lost()


class _Client:
    """The consumer's client, which reports the fate of fetches to their sessions."""

    def __init__(self, client: Any, ends: FetchedEnds) -> None:
        self._own = client
        self._ends = ends

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    @property
    def cluster(self) -> Any:
        """What is asked for often."""
        return self._own.cluster

    async def send(self, node_id: int, request: Any, **named: Any) -> Any:
        """See AIOKafkaClient."""
        if not isinstance(request, SessionRequest):
            return await self._own.send(node_id, request, **named)
        number = self._ends.next()
        try:
            response = await self._own.send(node_id, request, **named)
        except BaseException:
            request.lost()
            raise
        if not request.answered(response):
            await asyncio.sleep(_RETRY_S)
        elif report := request.reported_by(response):
            self._ends.answered(node_id, number, *report)
        return response


class SessionFetcher(fetcher.Fetcher):  # type: ignore[misc]
    """The fetcher of every consumer of this process."""

    def __init__(self, client: Any, *given: Any, **named: Any) -> None:
        super().__init__(client, *given, **named)
        self.ends = FetchedEnds()
        self._client = _Client(client, self.ends)
        self._sessions: dict[int, Session] = {}
        self._found_nothing = 0
        """Fetches since the last one that brought records."""
        self._leaders_known = False
        """Whether every partition had a leader when all were looked at last."""
        self._looked_at: Any = None
        """The assignment that was looked at then."""
        self._paused: set[asyncio.Future[Any]] = set()
        """What resumes partitions that were seen to be paused, each with a callback of ours."""
        self._resumed: asyncio.Future[Any] | None = None
        """Done when one of them is resumed."""

    def _get_actions_per_node(self, assignment: Any) -> Any:
        if (wait_s := self._nothing_to_do()) is not None:
            return [], {}, wait_s, False, []
        if (steady := self._steady(assignment)) is not None:
            return steady
        requests, resets, wait_s, invalid_metadata, resumed = super()._get_actions_per_node(assignment)
        if self._looked_at is not assignment:
            self._paused.clear()
        self._leaders_known, self._looked_at = not invalid_metadata, assignment
        # What is buffered of a paused partition may stay so for long.
        left_out = any(place in assignment.tps and not assignment.state_value(place).paused for place in self._records)
        whole = not (resets or resumed or self._records)
        unplaced = bool(requests) and (invalid_metadata or _unplaced(assignment))
        for _, request in requests:
            held_ms = self._hold_ms(request._max_wait_ms, left_out=left_out, whole=whole)
            request._max_wait_ms = min(held_ms, UNPLACED_WAIT_MS) if unplaced else held_ms
        if resumed and len(resumed) == len(assignment.tps):  # all are paused, and to be resumed wakes it
            wait_s = QUIET_S
        in_sessions = [(node, SessionRequest(request, self._session(node))) for node, request in requests]
        return in_sessions, resets, wait_s, invalid_metadata, self._one_for(resumed)

    def _steady(self, assignment: Any) -> Any:
        """What aiokafka would do, found in a tenth of the time, where all partitions have a leader and a position and
        all that was fetched is taken, as it mostly is; None elsewhere.

        It goes through all partitions for each fetch, and a gateway has sixty: with that and the request that it
        makes of them, a fetch cost a millisecond.
        """
        if self._looked_at is not assignment or not self._leaders_known or self._records or self._client_rack:
            return None
        brokers, leader_of, in_flight = self._client.cluster.brokers(), self._select_read_replica, self._in_flight
        only = next(iter(brokers)).nodeId if len(brokers) == 1 else None
        most = self._max_partition_fetch_bytes
        by_node: dict[int, dict[TopicPartition, tuple[int, int]]] = {}
        paused: list[asyncio.Future[Any]] = []
        for place, state in assignment._tp_state.items():
            node = leader_of(place) if only is None else only
            if node in in_flight:
                continue
            position = state._position
            if position is None or node is None or node == -1:
                return None
            if state._paused:
                paused.append(state._resume_fut)
            elif node in by_node:
                by_node[node][place] = position, most
            else:
                by_node[node] = {place: (position, most)}
        held_ms = self._hold_ms(self._fetch_max_wait_ms, left_out=False, whole=not paused)
        requests = []
        for node, wanted in by_node.items():
            request = FetchRequest(
                held_ms,
                self._fetch_min_bytes,
                self._fetch_max_bytes,
                self._isolation_level,
                [],
                self._client_rack or "",
            )
            requests.append((node, SessionRequest(request, self._session(node), wanted)))
        wait_s = QUIET_S if len(paused) == len(assignment.tps) else self._fetcher_timeout
        return requests, {}, wait_s, False, self._one_for(paused)

    def _one_for(self, paused: Sequence["asyncio.Future[Any]"]) -> Sequence["asyncio.Future[Any]"]:
        """One future that is done when any of these is: a worker's changelogs are paused for ever, and to wait for each
        of them anew after every fetch takes longer than the fetch."""
        if not paused:
            return paused
        if self._resumed is None or self._resumed.done():
            self._resumed = asyncio.get_running_loop().create_future()
        for one in paused:
            if one.done():
                return [one]
            if one not in self._paused:
                self._paused.add(one)
                one.add_done_callback(self._wake)
        return [self._resumed]

    def _wake(self, one: "asyncio.Future[Any]") -> None:
        self._paused.discard(one)
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    def _hold_ms(self, usual: int, *, left_out: bool, whole: bool) -> int:
        """How long the broker may hold the next fetch. left_out: whether partitions are missing that will be read soon.
        whole: whether it is of all that are assigned."""
        if left_out:
            return min(usual, LEFT_OUT_WAIT_MS)
        if not whole or usual < PATIENT_FROM_MS:
            return usual
        return max(usual, min(usual << min(self._found_nothing, 8), MOST_PATIENT_MS))

    async def fetched_records(self, *given: Any, **named: Any) -> Any:
        """See aiokafka's Fetcher; what came knows since when it is here."""
        found = await super().fetched_records(*given, **named)
        since = Since(self.ends, self.ends.sent)
        for records in found.values():
            records.since = since
        return found

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        found = bool(await super()._proc_fetch_request(assignment, node_id, request))
        self._found_nothing = 0 if found or not assignment.active else self._found_nothing + 1
        return found

    def _nothing_to_do(self) -> float | None:
        """Seconds to wait where the only broker is being asked, or what it gave is about to be read; None elsewhere.

        aiokafka goes through all partitions to find this out, twice for every answer.
        """
        if self._in_flight and not self._pending_tasks:
            # Fetches of the assignment before this one ended as it went: they are taken off in the loop's next turn,
            # and nothing would wake us then.
            return 0.0
        if not self._leaders_known or len(self._client.cluster.brokers()) != 1:
            return None
        if not self._records:
            return QUIET_S if self._in_flight else None
        if self._in_flight:
            return None
        backoff = max(found.calculate_backoff() for found in self._records.values())
        return float(backoff) if backoff > 0 else None

    def _select_read_replica(self, tp: TopicPartition) -> Any:
        if self._client_rack:
            return super()._select_read_replica(tp)
        return self._client.cluster.leader_for_partition(tp)

    def _session(self, node: int) -> Session:
        return self._sessions.setdefault(node, Session())


def _unplaced(assignment: Any) -> bool:
    """Whether of some partition it is not known where to read: it is in no fetch, and waits until one ends."""
    return not all(assignment.state_value(place).has_valid_position for place in assignment.tps)
