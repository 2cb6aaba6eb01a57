"""Which broker a command talks to: `--bootstrap`, then ENDOCRINE_BOOTSTRAP, then the local stack of the data folder."""

from typing import NamedTuple

from endocrine.pipeline.local import stack
from endocrine.pipeline.process.environment import SettingsError, kind_of_value
from endocrine.pipeline.process.settings import Settings, addresses

OPTION = "--bootstrap"


class Location(NamedTuple):
    """Settings that name the broker, and what named it."""

    settings: Settings
    source: str
    unnamed: bool = False
    """Nobody named one and no local stack runs: it is only the default."""

    def __str__(self) -> str:
        return f"broker {self.settings.bootstrap} ({self.source})"


def locate(option: str | None, settings: Settings | None = None) -> Location:
    """Return the broker of a command. option: what `--bootstrap` gave. Raises SettingsError for an invalid address.

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
    found = stack.running(settings.data_dir)
    if found is None or found.bootstrap is None:
        unset = f"neither {OPTION} nor ENDOCRINE_BOOTSTRAP is given, and no local stack runs in {settings.data_dir}"
        return Location(settings, f"the default: {unset}", unnamed=True)
    update = {
        "kafka_security": "PLAINTEXT",
        "bootstrap": found.bootstrap,
        "redis_url": settings.redis_url or found.redis_url,
    }
    return Location(settings.model_copy(update=update), f"the local stack in {settings.data_dir}")
