"""The local stack of a data folder: its ports, its folder, its end."""

import asyncio
import json
import os
import socket
import sys
import textwrap
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from endocrine.pipeline.local import kafka, stack
from endocrine.pipeline.local.stack import LocalStack, end, running
from endocrine.pipeline.process.subprocesses import BrokerError

pytestmark = [pytest.mark.node, pytest.mark.slow]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(condition, timeout_s=30):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_what_was_written_is_there_after_a_restart_at_the_same_addresses(tmp_path):
    async with LocalStack(tmp_path) as first:
        addresses = first.bootstrap, first.redis_url
        assert running(tmp_path)[:2] == addresses
        with pytest.raises(BrokerError, match=rf"{first.bootstrap}.*ENDOCRINE_DATA_DIR"):
            await LocalStack(tmp_path).start()
        assert alive(first.kafka.pid)
        admin = AIOKafkaAdminClient(bootstrap_servers=first.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("kept", 1, 1)])
        await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=first.bootstrap)
        await producer.start()
        await asyncio.gather(*[await producer.send("kept", b"x", partition=0) for _ in range(500)])
        await producer.stop()
        pids = list(running(tmp_path).pids.values())
    assert running(tmp_path) is None
    assert not any(map(alive, pids))
    async with LocalStack(tmp_path) as again:
        assert (again.bootstrap, again.redis_url) == addresses
        consumer = AIOKafkaConsumer(bootstrap_servers=again.bootstrap)
        await consumer.start()
        assert (await consumer.end_offsets([TopicPartition("kept", 0)])).popitem()[1] == 500
        await consumer.stop()


async def test_a_remembered_port_that_is_taken_is_replaced(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = {"kafka": taken, "controller": taken, "valkey": taken}
        (tmp_path / "stack.json").write_text(json.dumps({"ports": ports}))
        async with LocalStack(tmp_path) as found:
            assert str(taken) not in f"{found.bootstrap} {found.redis_url}"


async def test_a_start_that_is_cancelled_leaves_no_process_and_no_lock(tmp_path, monkeypatch):
    async def never(_):
        await asyncio.sleep(60)

    monkeypatch.setattr(kafka, "answers_metadata", never)
    mine = LocalStack(tmp_path)
    starting = asyncio.create_task(mine.start())
    await until(lambda: mine.kafka.pid and mine.valkey.pid)
    pids = mine.kafka.pid, mine.valkey.pid
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not any(map(alive, pids))
    monkeypatch.undo()
    async with LocalStack(tmp_path, kafka=False):
        pass


OWNER = """
    import asyncio, sys
    from pathlib import Path
    from endocrine.pipeline.local.stack import LocalStack, running

    async def main():
        async with LocalStack(Path(sys.argv[1])):
            print(*running(Path(sys.argv[1])).pids.values(), flush=True)
            await asyncio.sleep(600)

    asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends the children on Linux only")
async def test_kill_9_of_the_owner_ends_the_stack_and_the_next_start_works(tmp_path):
    argv = [sys.executable, "-c", textwrap.dedent(OWNER), str(tmp_path)]
    owner = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    try:
        pids = [int(pid) for pid in (await owner.stdout.readline()).split()]
        assert len(pids) == 2
        assert all(map(alive, pids))
    finally:
        owner.kill()
        await owner.wait()
    async with LocalStack(tmp_path) as again:  # at once, while the old one may still be ending
        assert again.kafka.pid not in pids
    assert not any(map(alive, pids))


async def test_a_stack_that_stays_is_found_is_not_started_twice_and_ends_when_asked(tmp_path):
    mine = LocalStack(tmp_path, stays=True)
    await mine.start()
    try:
        found = running(tmp_path)
        assert found == (mine.bootstrap, mine.redis_url, {"kafka": mine.kafka.pid, "valkey": mine.valkey.pid}, True)
        with pytest.raises(BrokerError, match="endocrine down"):
            await LocalStack(tmp_path).start()
    finally:
        ended = await asyncio.to_thread(end, tmp_path)
    assert ended
    assert end(tmp_path) is False
    await until(lambda: not any(map(alive, found.pids.values())))


async def test_a_part_that_died_is_named_with_its_log(tmp_path):
    async with LocalStack(tmp_path, kafka=False) as mine:
        assert mine.died() is None
        assert mine.bootstrap is None
        mine.valkey.kill()
        assert "valkey died" in mine.died()


def test_a_pid_of_another_process_is_not_taken_for_a_stack(tmp_path):
    state = {"pids": {"kafka": os.getpid(), "valkey": "x"}, "bootstrap": "127.0.0.1:9092"}
    (tmp_path / "stack.json").write_text(json.dumps(state))
    assert running(tmp_path) is None
    assert end(tmp_path) is False
    assert running(tmp_path / "nowhere") is None


@pytest.mark.parametrize("content", ["", "[]", '{"pids": []}', '{"ports": 3, "pids": {"kafka": null}}'])
def test_a_damaged_state_is_that_of_no_stack(tmp_path, content):
    (tmp_path / "stack.json").write_text(content)
    assert running(tmp_path) is None
    assert stack.LocalStack(tmp_path).valkey.port is None
