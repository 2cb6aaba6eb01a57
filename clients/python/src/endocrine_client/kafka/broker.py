"""Kafka by aiokafka: one producer, and one consumer without a group that reads from the ends on."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError, MessageSizeTooLargeError

from endocrine_client.kafka.door import BrokerAway, RecordTooLarge
from endocrine_client.kafka.watch import AUTHORS, NEEDED, Raw

_STOP_S = 5.0
_HELD_MS = 1000
"""Milliseconds that a broker may hold a fetch that finds nothing."""
_SOURCE = "interactions"


class KafkaBroker:
    """A `Broker`. options: of aiokafka's clients, such as `security_protocol`, `ssl_context`, `sasl_mechanism`."""

    def __init__(self, bootstrap: str, prefix: str, ack_s: float, options: Mapping[str, Any]) -> None:
        self._bootstrap, self._prefix, self._ack_s = bootstrap, prefix, ack_s
        self._options = {"bootstrap_servers": bootstrap, **options}
        self._producer: AIOKafkaProducer | None = None
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> int:
        """As `Broker.start`."""
        await self.stop()  # what an earlier try left
        try:
            self._producer = AIOKafkaProducer(
                **self._options, enable_idempotence=True, acks="all", linger_ms=0,
                request_timeout_ms=int(max(1.0, self._ack_s) * 1000),
            )  # fmt: skip
            self._consumer = AIOKafkaConsumer(
                **self._options, group_id=None, isolation_level="read_committed", enable_auto_commit=False,
                auto_offset_reset="latest", fetch_max_wait_ms=_HELD_MS,
            )  # fmt: skip
            await self._producer.start()
            await self._consumer.start()
            partitions, places = await self._places()
            # Made known at once: asked for ends of topics that it does not know, it looks them up one by one.
            self._consumer.assign(places)
            self._consumer.pause(*places)
            ends = await self._consumer.end_offsets(places)
            self._consumer.assign(places)
            for place in places:
                self._consumer.seek(place, ends[place])
            return partitions
        except (KafkaError, OSError, asyncio.TimeoutError) as error:
            await self.stop()
            raise BrokerAway(f"no connection to {self._bootstrap}: {type(error).__name__}") from error
        except BaseException:
            await self.stop()
            raise

    async def send(
        self, topic: str, partition: int, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]
    ) -> int:
        """As `Broker.send`."""
        if self._producer is None:
            raise BrokerAway("not started")
        sending = self._producer.send_and_wait(
            self._prefix + topic, value, key=key, headers=list(headers), partition=partition
        )
        try:
            sent = await asyncio.wait_for(sending, self._ack_s)
        except MessageSizeTooLargeError as error:
            raise RecordTooLarge(f"a record of {len(value)} bytes: the broker takes none of this size") from error
        except (KafkaError, OSError, AssertionError, asyncio.TimeoutError) as error:
            raise BrokerAway(f"not acknowledged: {type(error).__name__}") from error
        return int(sent.offset)

    async def fetch(self) -> Sequence[tuple[str, Raw]]:
        """As `Broker.fetch`."""
        if self._consumer is None:
            raise BrokerAway("not started")
        try:
            fetched = await self._consumer.getmany(timeout_ms=_HELD_MS)
        except CorruptRecordException as error:
            raise await self._skipped(error) from error
        except (KafkaError, OSError) as error:
            raise BrokerAway(type(error).__name__) from error
        except Exception as error:  # a batch that aiokafka cannot read, which it would meet again and again
            raise await self._skipped(error) from error
        cut = len(self._prefix)
        return [(place.topic[cut:], raw) for place, records in fetched.items() for raw in records]

    async def stop(self) -> None:
        """As `Broker.stop`."""
        clients = [client for client in (self._consumer, self._producer) if client is not None]
        self._consumer = self._producer = None
        for client in clients:
            with suppress(KafkaError, OSError, asyncio.TimeoutError):
                await asyncio.wait_for(client.stop(), _STOP_S)

    async def _skipped(self, error: Exception) -> BrokerAway:
        """Go on from the ends: what was not read decides nothing."""
        if self._consumer is not None:
            with suppress(KafkaError, OSError, asyncio.TimeoutError):
                await asyncio.wait_for(self._consumer.seek_to_end(), self._ack_s)
        return BrokerAway(f"a batch cannot be read, {type(error).__name__}: going on from the ends")

    async def _places(self) -> tuple[int, list[TopicPartition]]:
        """The number of partitions, and all that are followed. Raises BrokerAway where a topic is missing.

        All topics are listed: asked for one that is not there, a broker might create it.
        """
        assert self._producer is not None
        cluster = await self._producer.client.fetch_all_metadata()
        found = {name: cluster.partitions_for_topic(self._prefix + name) or () for name in (*AUTHORS, _SOURCE)}
        if missing := [name for name in (*NEEDED, _SOURCE) if not found[name]]:
            raise BrokerAway(f"no topic {', '.join(self._prefix + name for name in missing)}; is the prefix right?")
        partitions = len(found[_SOURCE])
        if unlike := [name for name in NEEDED if len(found[name]) != partitions]:
            raise BrokerAway(f"{', '.join(unlike)}: not {partitions} partitions, as {_SOURCE} has")
        places = [TopicPartition(self._prefix + name, number) for name in AUTHORS for number in sorted(found[name])]
        return partitions, places
