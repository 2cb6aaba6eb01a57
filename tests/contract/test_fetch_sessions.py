"""Fetch sessions on a real broker: every record is read, in order, whatever becomes of the session."""

import uuid

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from endocrine.pipeline.kafka import clients
from endocrine.pipeline.kafka.fetch_sessions import INITIAL, NONE

TOPICS, PARTITIONS, ROUNDS = 3, 4, 40


async def test_all_is_read_in_order_though_the_broker_forgets_sessions_and_partitions_are_paused(settings):
    names = [f"sessions-{uuid.uuid4().hex[:8]}" for _ in range(TOPICS)]
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
    places = [TopicPartition(name, number) for name in names for number in range(PARTITIONS)]
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, enable_idempotence=True)
    reader = clients.reader(settings)
    await producer.start()
    await reader.start()
    try:
        reader.assign(places)
        await reader.seek_to_beginning(*places)
        sent: dict[TopicPartition, list[bytes]] = {place: [] for place in places}
        read: dict[TopicPartition, list[bytes]] = {place: [] for place in places}
        sessions = set()
        for n in range(ROUNDS):
            for place in places[n % 5 :: 3]:
                sent[place].append(b"%d" % n)
                await producer.send_and_wait(place.topic, b"%d" % n, partition=place.partition)
            paused = places[n % len(places)]
            reader.pause(paused)
            expected = {place: list(values) for place, values in sent.items() if place != paused}
            while any(read[place] != values for place, values in expected.items()):
                for place, records in (await reader.getmany(timeout_ms=1000)).items():
                    read[place] += [record.value for record in records]
            reader.resume(paused)
            for session in reader._fetcher._sessions.values():
                sessions.add(session._id)
                if n % 10 == 4:
                    session._id = 1  # one that the broker does not know
                if n % 10 == 8:
                    session._epoch += 5
        while read != sent:
            for place, records in (await reader.getmany(timeout_ms=1000)).items():
                read[place] += [record.value for record in records]
        assert len(sessions - {NONE, 1}) > 2  # begun anew each time
        assert all(session._epoch != INITIAL for session in reader._fetcher._sessions.values())
    finally:
        await reader.stop()
        await producer.stop()
        await admin.delete_topics(names)
        await admin.close()
