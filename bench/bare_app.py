"""The least that an answer through Kafka needs: `python -m bench.bare_app BOOTSTRAP TOPIC PARTITIONS READY_FILE`.

It parses the body, produces it with a stock aiokafka producer, and answers when a stock aiokafka consumer reads it.
"""

import asyncio
import os
import sys
from pathlib import Path

import orjson
import uvicorn
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.servers import POLL_S


async def bare(bootstrap: str, topic: str, partitions: int, ready: Path) -> None:
    """Serve `POST /turns` until ended; its port goes into the file."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", linger_ms=0)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    waiting: dict[bytes, asyncio.Future[bytes]] = {}

    async def answer(request: Request) -> Response:
        value = orjson.loads(await request.body())
        key = os.urandom(8)
        echoed = waiting[key] = asyncio.get_running_loop().create_future()
        await producer.send_and_wait(topic, orjson.dumps(value), key=key)
        return Response(await echoed, 201, media_type="application/json")

    async def read() -> None:
        async for record in consumer:
            if (echoed := waiting.pop(record.key, None)) is not None:
                echoed.set_result(record.value)

    await asyncio.gather(producer.start(), consumer.start())
    consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
    await consumer.seek_to_end()
    reading = asyncio.create_task(read())
    app = Starlette(routes=[Route("/turns", answer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(POLL_S)
    part = ready.with_suffix(".part")
    part.write_text(str(server.servers[0].sockets[0].getsockname()[1]))
    part.replace(ready)
    await serving
    reading.cancel()
    await asyncio.gather(producer.stop(), consumer.stop())


if __name__ == "__main__":
    uvloop.run(bare(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
