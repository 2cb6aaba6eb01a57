"""aiokafka's fetcher with fetch sessions, and without waits behind partitions that were left out.

`endocrine.pipeline.kafka.fetching` installs it. Both touch private parts of aiokafka, and nothing else does;
`tests/unit/kafka/test_private_parts.py` names what they rely on.
"""

import asyncio
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from endocrine.pipeline.kafka.fetch_sessions import FIRST_VERSION, Session

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


class SessionRequest(FetchRequest):  # type: ignore[misc]
    """A fetch of all its partitions, as aiokafka sees it, which names to the broker what changed."""

    def __init__(self, request: FetchRequest, session: Session) -> None:
        super().__init__(
            request._max_wait_ms,
            request._min_bytes,
            request._max_bytes,
            request._isolation_level,
            request._topics,
            request._rack_id,
        )
        self._session = session
        self._wanted = {
            TopicPartition(topic, number): (offset, most)
            for topic, partitions in request._topics
            for number, offset, most in partitions
        }

    def build(self, request_struct_class: Any) -> Any:
        """See aiokafka's Request."""
        if request_struct_class.API_VERSION < FIRST_VERSION:
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
        """Report the answer to the session; False where it is an error."""
        if response.API_VERSION < FIRST_VERSION:
            return True
        self._session.answered(self._wanted, response.session_id, response.error_code)
        return not response.error_code

    def lost(self) -> None:
        """Report that there is no answer."""
        self._session.lost()


class _Client:
    """The consumer's client, which reports the fate of fetches to their sessions."""

    def __init__(self, client: Any) -> None:
        self._own = client

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
        try:
            response = await self._own.send(node_id, request, **named)
        except BaseException:
            request.lost()
            raise
        if not request.answered(response):
            await asyncio.sleep(_RETRY_S)
        return response


class SessionFetcher(fetcher.Fetcher):  # type: ignore[misc]
    """The fetcher of every consumer of this process."""

    def __init__(self, client: Any, *given: Any, **named: Any) -> None:
        super().__init__(client, *given, **named)
        self._client = _Client(client)
        self._sessions: dict[int, Session] = {}
        self._found_nothing = 0
        """Fetches since the last one that brought records."""
        self._leaders_known = False
        """Whether every partition had a leader when all were looked at last."""

    def _get_actions_per_node(self, assignment: Any) -> Any:
        if (wait_s := self._nothing_to_do()) is not None:
            return [], {}, wait_s, False, []
        requests, resets, wait_s, invalid_metadata, resumed = super()._get_actions_per_node(assignment)
        self._leaders_known = not invalid_metadata
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
        return in_sessions, resets, wait_s, invalid_metadata, resumed

    def _hold_ms(self, usual: int, *, left_out: bool, whole: bool) -> int:
        """How long the broker may hold the next fetch. left_out: whether partitions are missing that will be read soon.
        whole: whether it is of all that are assigned."""
        if left_out:
            return min(usual, LEFT_OUT_WAIT_MS)
        if not whole or usual < PATIENT_FROM_MS:
            return usual
        return max(usual, min(usual << min(self._found_nothing, 8), MOST_PATIENT_MS))

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        found = bool(await super()._proc_fetch_request(assignment, node_id, request))
        self._found_nothing = 0 if found or not assignment.active else self._found_nothing + 1
        return found

    def _nothing_to_do(self) -> float | None:
        """Seconds to wait where the only broker is being asked, or what it gave is about to be read; None elsewhere.

        aiokafka goes through all partitions to find this out, twice for every answer.
        """
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
