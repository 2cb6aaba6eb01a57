"""Settings of the console: environment variables `ENDOCRINE_CONSOLE_*`."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from endocrine.pipeline.process.environment import EnvironmentSettings


class ConsoleSettings(EnvironmentSettings):
    """Every field may be given as `ENDOCRINE_CONSOLE_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="ENDOCRINE_CONSOLE_", extra="ignore", frozen=True)

    session_s: Annotated[int, Field(ge=60, le=30 * 86_400, description="Seconds until one must sign in again.")] = (
        8 * 3600
    )
