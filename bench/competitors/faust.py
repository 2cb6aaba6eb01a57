"""The same fold the way Faust's documentation writes it: an agent, a table (memory store, changelog on), a topic.

Variant `uvloop`: on that event loop, as `faust --loop uvloop` does it.
"""

import faust
import mode.loop
import orjson

from bench.competitors.job import fold, read_job

job = read_job()
if job.variant == "uvloop":
    mode.loop.use("uvloop")
app = faust.App(
    job.group,
    broker=f"kafka://{job.bootstrap}",
    store="memory://",
    datadir=f"{job.folder}/faust",
    topic_partitions=job.partitions,
    consumer_auto_offset_reset="earliest",
    web_enabled=False,
    producer_compression_type=job.codec,
)
observations = app.topic(job.source, key_type=str, key_serializer="raw", value_serializer="raw")
changes = app.topic(job.target, key_type=str, key_serializer="raw", value_serializer="raw")
states = app.Table("attribution", partitions=job.partitions)


@app.agent(observations)  # type: ignore[untyped-decorator]
async def attribution(stream: faust.Stream[bytes]) -> None:
    """Validate, fold, remember, say."""
    async for value in stream:
        observation = orjson.loads(value)
        identity = observation["identity_ref"]
        key = f"{identity}/{observation['primitive']}"
        states[key], found = fold(states.get(key), observation)
        for change in found:
            await changes.send(key=identity, value=orjson.dumps(change))


if __name__ == "__main__":
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()
