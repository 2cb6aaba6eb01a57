"""Settings of the console: environment variables `ENDOCRINE_CONSOLE_*`."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from endocrine.pipeline.gateway.keys import Scope
from endocrine.pipeline.process.environment import EnvironmentSettings, SettingsError

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
    replay_s: Annotated[
        int, Field(ge=10, le=86_400, description="Seconds after which a replay that a page started is stopped.")
    ] = 3600
    snapshots: Annotated[
        Path | None,
        Field(description="Folder of snapshots or backups that replays may begin from; None: they begin at the start."),
    ] = None
    backups: Annotated[
        Path | None, Field(description="Folder of backups, for the page of health. None: `backups` in the data folder.")
    ] = None
    verified_file: Annotated[
        Path | None,
        Field(description="What `endocrine audit verify --metrics-file` writes, for the page of health. None: none."),
    ] = None
    proxy_header: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$",
            description="Header in which a proxy names who has signed in with it. None: off, and no header counts.",
        ),
    ] = None
    proxy_secret_file: Annotated[
        Path | None,
        Field(description="File with the secret that the proxy sends with it: at least 32 characters on one line."),
    ] = None
    proxy_secret_header: Annotated[
        str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$", description="Header in which the proxy sends that secret.")
    ] = "endocrine-proxy-secret"
    proxy_scopes: Annotated[
        tuple[Scope, ...], Field(strict=False, description="JSON list: what whoever the proxy names may do.")
    ] = ("read",)
    proxy_users: Annotated[
        dict[str, tuple[Scope, ...]],
        Field(
            default_factory=dict,
            description='JSON object: what single users may do instead, such as `{"ann": ["read", "operate"]}`.',
        ),
    ]

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        if (self.proxy_header is None) != (self.proxy_secret_file is None):
            raise SettingsError(
                "ENDOCRINE_CONSOLE_PROXY_HEADER: set without the other; expected it and "
                "ENDOCRINE_CONSOLE_PROXY_SECRET_FILE together, for anybody can send a header"
            )
