"""Fetch sessions on a real broker: every record is read, in order, whatever becomes of the session."""

import uuid

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from endocrine.pipeline.kafka import clients
from endocrine.pipeline.kafka.fetch_sessions import INITIAL, NONE
from endocrine.pipeline.kafka.session_fetcher import SessionFetcher

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


async def test_a_consumer_for_which_nothing_happens_looks_only_when_a_fetch_was_answered(settings, monkeypatch):
    name = f"sessions-{uuid.uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    looks = []
    look = SessionFetcher._get_actions_per_node
    monkeypatch.setattr(
        SessionFetcher, "_get_actions_per_node", lambda *given: (looks.append(given[0]), look(*given))[1]
    )
    quiet = clients.reader(settings, fetch_max_wait_ms=500)
    paused = clients.reader(settings)
    await quiet.start()
    await paused.start()
    try:
        places = [TopicPartition(name, number) for number in range(PARTITIONS)]
        for reader in (quiet, paused):
            reader.assign(places)
            await reader.seek_to_beginning(*places)
        paused.pause(*places)
        looks.clear()
        assert not await quiet.getmany(timeout_ms=4000)
        # Fetches of 0.5, 1, 2 and 4 s; aiokafka's own fetcher looks five times a second.
        assert 2 <= looks.count(quiet._fetcher) <= 8
        assert looks.count(paused._fetcher) <= 2
        paused.resume(*places)
        async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap) as producer:
            await producer.send_and_wait(name, b"1", partition=1)
        for reader in (quiet, paused):
            found = {}
            while not found:
                found = await reader.getmany(timeout_ms=1000)
            assert [record.value for records in found.values() for record in records] == [b"1"]
    finally:
        await quiet.stop()
        await paused.stop()
        await admin.delete_topics([name])
        await admin.close()
