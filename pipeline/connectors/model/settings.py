"""Settings of the model connector: `ENDOCRINE_MODEL_*`."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from endocrine.pipeline.process.connection_settings import read_secret
from endocrine.pipeline.process.environment import EnvironmentSettings, SettingsError


class ModelSettings(EnvironmentSettings):
    """Every field may be given as `ENDOCRINE_MODEL_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="ENDOCRINE_MODEL_", extra="ignore", frozen=True, populate_by_name=True)

    api_key: Annotated[
        SecretStr | None,
        Field(
            validation_alias=AliasChoices("ENDOCRINE_MODEL_API_KEY", "OPENAI_API_KEY"),
            description="Key of the provider; OPENAI_API_KEY counts too. A local server takes any text.",
        ),
    ] = None
    api_key_file: Annotated[
        Path | None, Field(description="File that holds it, in place of the variable: read when the connector starts.")
    ] = None
    base_url: Annotated[
        str | None,
        Field(
            validation_alias=AliasChoices("ENDOCRINE_MODEL_BASE_URL", "OPENAI_BASE_URL"),
            repr=False,
            description="URL of an OpenAI-compatible API; None: OpenAI's own. A user in it is a proxy's login.",
        ),
    ] = None
    organization: Annotated[
        str | None,
        Field(
            validation_alias=AliasChoices("ENDOCRINE_MODEL_ORGANIZATION", "OPENAI_ORG_ID"),
            description="Sent as OpenAI-Organization.",
        ),
    ] = None
    project: Annotated[
        str | None,
        Field(
            validation_alias=AliasChoices("ENDOCRINE_MODEL_PROJECT", "OPENAI_PROJECT_ID"),
            description="Sent as OpenAI-Project.",
        ),
    ] = None
    api: Annotated[
        Literal["auto", "responses", "chat"], Field(description="auto: as the capability map says for each model.")
    ] = "auto"
    moderation: Annotated[
        str, Field(min_length=1, description="Model of the moderation endpoint, for requests of purpose `moderation`.")
    ] = "omni-moderation-latest"
    stream: Annotated[bool, Field(description="Ask for a stream: a stalled reply is noticed sooner.")] = False
    cache_key: Annotated[
        bool | None, Field(description="Send prompt_cache_key; None: to OpenAI's own API only, others may refuse it.")
    ] = None
    concurrency: Annotated[int, Field(ge=1, le=4096, description="Calls at once.")] = 256
    connect_s: Annotated[float, Field(gt=0, description="Seconds to connect.")] = 5.0
    silence_s: Annotated[float, Field(gt=0, description="Seconds without a byte until a stream counts as stalled.")] = (
        30.0
    )
    tries: Annotated[int, Field(ge=1, le=20, description="Calls made for one request, at most.")] = 4
    backoff_s: Annotated[float, Field(gt=0, description="Pause before the first retry; doubled for each further.")] = (
        0.5
    )
    backoff_most_s: Annotated[float, Field(gt=0, description="Longest pause of our own making.")] = 8.0
    breaker_failures: Annotated[int, Field(ge=1, description="Failures in a row that open the breaker.")] = 8
    breaker_rest_s: Annotated[float, Field(gt=0, description="Seconds that it stays open.")] = 15.0

    def model_post_init(self, context: Any, /) -> None:
        """Return raise SettingsError where the key is given twice."""
        if self.api_key is not None and self.api_key_file is not None:
            raise SettingsError(
                "ENDOCRINE_MODEL_API_KEY_FILE and ENDOCRINE_MODEL_API_KEY or OPENAI_API_KEY: both are given; expected "
                "one of them"
            )

    @property
    def has_key(self) -> bool:
        """Whether a key was given, or the file of one."""
        return self.api_key is not None or self.api_key_file is not None

    @cached_property
    def key(self) -> str:
        """The provider's key without white space around it; empty where there is none.

        Raises SettingsError where its file cannot be read or is empty; never with its content.
        """
        if self.api_key_file is not None:
            return read_secret(self.api_key_file, "model_api_key_file").strip()
        return "" if self.api_key is None else self.api_key.get_secret_value().strip()

    @property
    def sends_cache_key(self) -> bool:
        """Whether `prompt_cache_key` goes along."""
        return self.base_url is None if self.cache_key is None else self.cache_key

    def private(self) -> tuple[str, ...]:
        """Return the texts that no error, log or record may show a part of: the key, and the URL, which may hold a
        password.
        """
        return self.key, self.base_url or ""


def missing_key(settings: ModelSettings, environment: Mapping[str, str]) -> str | None:
    """Return what to tell a person who gave no key; None where there is one."""
    if settings.key:
        return None
    problem = (
        "is empty" if "OPENAI_API_KEY" in environment or "ENDOCRINE_MODEL_API_KEY" in environment else "is not set"
    )
    return (
        f"the model connector does not start: the provider's key {problem}. Set OPENAI_API_KEY (or"
        " ENDOCRINE_MODEL_API_KEY, or ENDOCRINE_MODEL_API_KEY_FILE); for another OpenAI-compatible server set"
        " ENDOCRINE_MODEL_BASE_URL too, a local one takes any text as key. Everything else runs without it; turns with"
        " `respond: true` wait for their deadline."
    )
