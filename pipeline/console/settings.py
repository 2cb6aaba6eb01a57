"""Settings of the console: environment variables `ENDOCRINE_CONSOLE_*`."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from endocrine.pipeline.process.environment import EnvironmentSettings

PLACES = ("{topic}", "{partition}", "{offset}")


def _address(template: str) -> str:
    parts = urlsplit(template)
    if parts.scheme not in ("http", "https") or not parts.netloc or not all(name in template for name in PLACES):
        raise ValueError(f"expected an address that begins with http:// or https:// and holds {', '.join(PLACES)}")
    return template


class ConsoleSettings(EnvironmentSettings):
    """Every field may be given as `ENDOCRINE_CONSOLE_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="ENDOCRINE_CONSOLE_", extra="ignore", frozen=True)

    session_s: Annotated[int, Field(ge=60, le=30 * 86_400, description="Seconds until one must sign in again.")] = (
        8 * 3600
    )
    record_url: Annotated[
        str | None,
        AfterValidator(lambda given: None if given is None else _address(given)),
        Field(
            description="Address of a record in another topic browser (kafbat, AKHQ), with {topic}, {partition} and "
            "{offset} in their places; every record then links there."
        ),
    ] = None
