"""The same fold on Quix Streams: a StreamingDataFrame with state in RocksDB and its changelog on."""

from typing import Any

import orjson
from quixstreams import Application, State

from bench.competitors.job import fold, read_job


def attribution(value: bytes, state: State) -> list[dict[str, Any]]:
    """Validate, fold, store; what it returns is produced."""
    observation = orjson.loads(value)
    primitive = observation["primitive"]
    after, changes = fold(state.get(primitive), observation)
    state.set(primitive, after)
    return changes


def main() -> None:
    """Run until SIGTERM. All settings are the library's own, but for where it begins to read, checkpoints, compression.

    Variant: seconds between checkpoints.
    """
    job = read_job()
    app = Application(
        broker_address=job.bootstrap,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        state_dir=f"{job.folder}/quix",
        use_changelog_topics=True,
        # State and changelog are written at a checkpoint only. At the default of 5 s a short run is over before it has
        # paid for any; at 1 s it pays for all but the last one.
        commit_interval=float(job.variant),
        producer_extra_config={"compression.type": job.compression},
        loglevel="WARNING",
    )
    frame = app.dataframe(app.topic(job.source, key_deserializer="str", value_deserializer="bytes"))
    frame = frame.apply(attribution, stateful=True, expand=True)
    frame = frame.apply(orjson.dumps)
    frame.to_topic(app.topic(job.target, key_serializer="str", value_serializer="bytes"))
    app.run()


if __name__ == "__main__":
    main()
