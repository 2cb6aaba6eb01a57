"""Settings of a process: environment variables `ENDOCRINE_*`, read once, validated, passed down."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.process.connection_settings import ConnectionSettings

MIB = 1 << 20
METADATA_MAX_AGE_MS = 5_000
"""Milliseconds after which a member of a group asks for its topics again. A Kafka that has just started answers without
naming itself; a leader that asked then sees no topics, assigns nobody anything, and asks again only at this age."""


def addresses(text: str) -> str:
    """Return the text, if it is `host:port`, comma separated, as aiokafka takes it. Raises ValueError: what was
    expected."""
    for address in text.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
            raise ValueError("host:port, comma separated, the port from 1 to 65535")
    return text


class Settings(ConnectionSettings):
    """Every field may be given as `ENDOCRINE_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="ENDOCRINE_", extra="ignore", frozen=True)

    bootstrap: Annotated[
        str, AfterValidator(addresses), Field(description="Kafka bootstrap servers, host:port, comma separated.")
    ] = "127.0.0.1:9092"
    redis_url: Annotated[
        str | None,
        Field(repr=False, description="Redis for the read models, redis:// or rediss://; None: no projection."),
    ] = None
    redis_db: Annotated[int, Field(ge=0, description="Redis database of the read models where the URL names none.")] = (
        12
    )
    redis_events_kept: Annotated[int, Field(ge=1, description="Bond events kept per user in Redis, newest first.")] = (
        1000
    )
    redis_timeout_s: Annotated[float, Field(gt=0, description="Seconds until a Redis that hangs counts as away.")] = 5.0
    prefix: Annotated[str, Field(pattern=r"^[a-z0-9._-]*$", description="Prefix of every topic.")] = "endocrine."
    group: Annotated[str, Field(min_length=1, description="Consumer group (Faust application id).")] = "endocrine"
    instance: Annotated[
        str | None,
        Field(description="Static group membership: a restarted worker of this name gets its partitions back at once."),
    ] = None
    partitions: Annotated[int, Field(ge=1, le=1024, description="Partitions of every topic; fixed for its life.")] = 4
    replication: Annotated[int, Field(ge=1, le=10, description="Replication factor of topics we create.")] = 1
    policy: Annotated[Path | None, Field(description="Policy file laid over the shipped one.")] = None
    data_dir: Annotated[Path, Field(description="Where a local broker and local stores keep their data.")] = Path(
        ".endocrine"
    )
    compression: Annotated[
        Literal["none", "lz4", "zstd"], Field(description="Of what a worker writes; readers take any.")
    ] = "none"
    store: Annotated[Literal["memory", "rocksdb"], Field(description="Where agents' state is held locally.")] = "memory"

    build: Annotated[str | None, Field(description="Short commit id of a deployment, put on derived records.")] = None

    max_record_bytes: Annotated[
        int, Field(ge=1024, description="A larger value on a source topic is a dead letter. Bytes.")
    ] = MIB
    max_header_bytes: Annotated[
        int,
        Field(ge=1024, le=64 << 10, description="Others' records with more bytes of headers are dead letters."),
    ] = 64 << 10
    topic_message_bytes: Annotated[
        int,
        Field(ge=MIB, description="max.message.bytes of topics; above max_record_bytes, so that it can be refused."),
    ] = 4 * MIB
    max_batch_bytes: Annotated[
        int,
        Field(
            ge=MIB,
            description="Bytes that a compressed record batch may decompress to; a larger one is one dead letter. "
            "Replay must have the workers' value.",
        ),
    ] = 64 * MIB
    changelog_message_bytes: Annotated[
        int, Field(ge=MIB, description="max.message.bytes of changelogs: the largest checkpoint of a batch.")
    ] = 16 * MIB
    compaction_lag_ms: Annotated[
        int, Field(ge=0, description="min.compaction.lag.ms of changelogs: above the longest outage of a worker.")
    ] = 86_400_000
    compaction_most_lag_ms: Annotated[
        int,
        Field(
            ge=1,
            description="max.compaction.lag.ms of changelogs and compacted topics: what was erased leaves them so long "
            "after, once another record comes. Above compaction_lag_ms.",
        ),
    ] = 7 * 86_400_000
    session_timeout_s: Annotated[float, Field(gt=0, description="Seconds without heartbeat until a worker is out.")] = (
        10.0
    )
    max_batch_records: Annotated[int, Field(ge=1, description="Records processed at once by one agent partition.")] = (
        2000
    )
    commit_interval_s: Annotated[float, Field(gt=0, description="Seconds between offset commits (displays only).")] = (
        2.0
    )
    reject_fuse_share: Annotated[
        float,
        Field(gt=0, le=1, description="A worker whose agents fail on more than this share of a window stops."),
    ] = 0.5
    metrics_port: Annotated[
        int | None,
        Field(
            ge=1,
            le=65535,
            description="Port of metrics and health (`/metrics`, `/livez`, `/readyz`) of a worker, connector or "
            "projection; None: not served.",
        ),
    ] = None
    metrics_host: Annotated[
        str, Field(min_length=1, description="Address that metrics and health are served on; no key is asked for.")
    ] = "127.0.0.1"
    traces: Annotated[
        Literal["off", "otlp"],
        Field(
            description="otlp: spans go to OpenTelemetry's collector (OTEL_EXPORTER_OTLP_ENDPOINT); needs the extra "
            "`otel`."
        ),
    ] = "off"
    stall_unready_s: Annotated[
        float,
        Field(gt=0, description="A worker with a partition that has records to read and takes no step is unready."),
    ] = 60.0
    stall_exit_s: Annotated[
        float,
        Field(gt=0, description="The same, until the worker ends with exit code 3 for a supervisor to start it anew."),
    ] = 300.0
    reject_fuse_window: Annotated[int, Field(ge=1, description="Records in the fuse's window.")] = 2000
    seal_key_file: Annotated[
        Path | None,
        Field(
            description="Keys that workers and connectors share to seal what they write. None: `seal.keys` in "
            "data_dir, made when it is not there, for a broker on this machine only."
        ),
    ] = None
    prompt_key_file: Annotated[
        Path | None,
        Field(
            description="Keys of prompt hashes, which the policy names by their fingerprints; workers and replay need "
            "them. None: `prompt.keys` in data_dir, if it is there."
        ),
    ] = None

    content_encryption: Annotated[
        Literal["off", "on"],
        Field(
            description="on: content is written encrypted, under a key of its subject that an erasure destroys; needs "
            "content_key_file. What is encrypted is read either way."
        ),
    ] = "off"
    content_key_file: Annotated[
        Path | None,
        Field(
            description="Keys that wrap the keys of content, shared by all who read or write content. None: "
            "`content.keys` in data_dir, if it is there; made where content_encryption is on, for a broker on this "
            "machine only."
        ),
    ] = None

    @property
    def sizes(self) -> Sizes:
        """How large records may be."""
        return Sizes(self.max_record_bytes, self.max_header_bytes, self.topic_message_bytes)


def environment(settings: Settings) -> dict[str, str]:
    """Return the settings as ENDOCRINE_* variables, secrets included, for a process that is to have the same."""
    values = settings.model_dump(exclude_none=True)
    return {f"ENDOCRINE_{name.upper()}": _as_text(value) for name, value in values.items()}


def _as_text(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
