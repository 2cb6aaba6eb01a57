"""Which broker a command talks to: `--bootstrap`, then ENDOCRINE_BOOTSTRAP, then the local stack of the data folder."""

from pathlib import Path
from typing import NamedTuple

from pipeline import embedded
from pipeline.environment import SettingsError, kind_of_value
from pipeline.settings import Settings, addresses

OPTION = "--bootstrap"


class LocalStack(NamedTuple):
    """The addresses of a local stack that is up."""

    bootstrap: str | None
    """None: a stack whose Kafka is somewhere else."""
    redis_url: str | None


class Location(NamedTuple):
    """Settings that name the broker, and what named it."""

    settings: Settings
    source: str

    def __str__(self) -> str:
        return f"broker {self.settings.bootstrap} ({self.source})"


def local_stack(data_dir: Path) -> LocalStack | None:
    """The stack that runs on this data folder, None where none does. The one place that knows what a stack leaves."""
    found = embedded.running(data_dir)
    if found is None:
        return None
    bootstrap, redis_url = found.get("bootstrap"), found.get("redis_url")
    return LocalStack(*(text if isinstance(text, str) else None for text in (bootstrap, redis_url)))


def locate(option: str | None, settings: Settings | None = None) -> Location:
    """The broker of a command. option: what `--bootstrap` gave. Raises SettingsError for an address that is none.

    Redis of the local stack comes with its Kafka, unless ENDOCRINE_REDIS_URL names another.
    """
    settings = Settings() if settings is None else settings
    if option is not None:
        try:
            named = addresses(option)
        except ValueError as error:
            raise SettingsError(f"{OPTION}: {kind_of_value(option)}; expected {error}") from None
        return Location(settings.model_copy(update={"bootstrap": named}), f"from {OPTION}")
    if "bootstrap" in settings.model_fields_set:
        return Location(settings, "from ENDOCRINE_BOOTSTRAP")
    stack = local_stack(settings.data_dir)
    if stack is None or stack.bootstrap is None:
        unset = f"neither {OPTION} nor ENDOCRINE_BOOTSTRAP is given, and no local stack runs in {settings.data_dir}"
        return Location(settings, f"the default: {unset}")
    update = {"bootstrap": stack.bootstrap, "redis_url": settings.redis_url or stack.redis_url}
    return Location(settings.model_copy(update=update), f"the local stack in {settings.data_dir}")
