"""Settings of the gateway: environment variables `ENDOCRINE_GATEWAY_*`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from endocrine.pipeline.process.environment import EnvironmentSettings


class GatewaySettings(EnvironmentSettings):
    """Every field may be given as `ENDOCRINE_GATEWAY_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="ENDOCRINE_GATEWAY_", extra="ignore", frozen=True)

    host: Annotated[str, Field(description="Address to listen on; without API keys only one of loopback.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0: any free one.")] = 8080
    key_file: Annotated[
        Path | None, Field(description="File of API keys, hashed. None: `gateway.keys` in the data folder.")
    ] = None
    body_bytes: Annotated[int, Field(ge=1024, description="Largest body of a request. Bytes.")] = 1 << 20
    image_bytes: Annotated[int, Field(ge=1, description="Largest image of an OpenAI-compatible request. Bytes.")] = (
        4 << 20
    )
    images_bytes: Annotated[
        int,
        Field(
            ge=0,
            description="Most that the images of one request have together, beside `body_bytes` of the rest. Bytes.",
        ),
    ] = 8 << 20
    large_bodies: Annotated[
        int,
        Field(ge=1, description="Requests of more than `body_bytes` at once; each takes about five times its images."),
    ] = 16
    header_bytes: Annotated[int, Field(ge=1024, description="Largest header block of a request. Bytes.")] = 32 << 10
    batch_records: Annotated[int, Field(ge=1, description="Records in one request.")] = 1000
    read_s: Annotated[float, Field(gt=0, description="Seconds until headers, and then the body, must have come.")] = (
        10.0
    )
    ack_s: Annotated[float, Field(gt=0, description="Seconds until Kafka must have taken a record.")] = 5.0
    advice_s: Annotated[
        float, Field(gt=0, description="Seconds to wait for a turn's parameters; then the strict defaults are given.")
    ] = 2.0
    decision_s: Annotated[
        float, Field(gt=0, description="Seconds to wait for the decision on a tool call; then it may not run.")
    ] = 5.0
    answer_s: Annotated[float, Field(gt=0, description="Seconds to wait for the answer of a turn that we answer.")] = (
        180.0
    )
    withheld_finish: Annotated[
        Literal["content_filter", "stop"],
        Field(description="`finish_reason` of a chat completion whose answer is withheld."),
    ] = "content_filter"
    waiting: Annotated[int, Field(ge=1, description="Requests that may wait for an answer at once.")] = 1000
    corpus: Annotated[
        Path | None, Field(description="Folder of .txt and .md files whose passages context packs have; None: none.")
    ] = None
    streams: Annotated[int, Field(ge=1, description="Streams of `/v1/events` open at once.")] = 10_000
