"""The read models in Redis: apply a batch, read positions, clear. While Redis is away, calls wait for it."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Self

import redis.asyncio as redis
import stamina
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from stamina.instrumentation import RetryDetails, RetryHook, get_on_retry_hooks, set_on_retry_hooks

from endocrine.pipeline.process.certificates import causes, untrusted
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis import keys
from endocrine.pipeline.views.redis.script import APPLY, TAKE_OVER
from endocrine.pipeline.views.redis.writes import Write

NOTHING = -1
"""Position of a topic partition of which Redis holds nothing."""
_GUARD_OUTLIVES_S = 86_400
"""A guard stays a day after its key was deleted, longer than any record may be under way; then no trace is left."""
LISTED = 10_000
"""Members of a sorted set that are kept, the newest: turns of an identity or project, incidents."""
VIEW_LIVES_S = 30 * 86_400
"""A view goes as long after its last write as the records that it was made of."""
_STEPS = " ".join(f"{step}:{span}" for span, step in keys.SPEND_STEPS.items())
"""Steps of spend and how long each is shown after its end, as the script takes them."""
_TAKEN = "import"
"""The mark of a guard under which nothing was applied yet."""
_LEFT_ALONE = {
    b"type": "read model not written: its key holds another type; delete it and run `endocrine project --rebuild`",
    b"foreign": "foreign key left alone: it exists and we did not write it; `endocrine bonds import` takes it over",
}
_log = structlog.get_logger("endocrine.projection")


class Batch(NamedTuple):
    """Writes that come from one run of records of one topic partition."""

    source: str
    """`topic/partition`."""
    start: int
    """The position in Redis that these records follow on."""
    end: int
    """The offset after the last of them."""
    writes: Sequence[Write]


class Store:
    """One Redis, as the projection of one group sees it. An async context manager.

    Errors of Redis are not raised: a call is repeated, with growing pauses, until Redis answers. Each change between
    away and back is logged once.
    """

    def __init__(self, settings: Settings) -> None:
        self._redis = connect(settings)
        self._apply = self._redis.register_script(APPLY)
        self._positions = keys.positions(settings.group)
        self._events_kept = settings.redis_events_kept
        self._away = False
        self._call = stamina.retry(
            on=self._retries, attempts=None, timeout=None, wait_initial=0.1, wait_max=5.0, wait_jitter=0.5
        )(_call)
        _leave_logging_to_us()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()

    async def apply(self, batch: Batch) -> bool:
        """Apply a batch and move its position, all or nothing. False: Redis lost what it follows on; replay."""
        names = [self._positions, keys.bonds_index(), keys.foreign_keys()]
        arguments: list[Any] = [batch.source, batch.start, batch.end, self._events_kept, _GUARD_OUTLIVES_S]
        arguments += (LISTED, VIEW_LIVES_S, _STEPS)
        for write in batch.writes:
            names += (write.key, keys.guard(write.key))
            arguments += (write.verb, write.mark, write.offset, write.ordinal, write.field, write.value)
            arguments += (*_listed(write), _counted(write))
        answer = await self._wait_for(lambda: self._apply(keys=names, args=arguments))
        for why, key in zip(answer[1::2], answer[2::2], strict=True):
            _log.warning(_LEFT_ALONE[why], key=key.decode(), source=batch.source)
        return bool(answer[0] == b"applied")

    async def positions(self, sources: Sequence[str]) -> list[int]:
        """Return, per `topic/partition`, the offset to go on from, or NOTHING."""
        stored = await self._wait_for(lambda: self._redis.hmget(self._positions, list(sources)))
        return [NOTHING if position is None else int(position) for position in stored]

    async def _wait_for(self, call: Callable[[], Awaitable[Any]]) -> Any:
        answer = await self._call(call)
        if self._away:
            self._away = False
            _log.info("redis answers again; the projection goes on")
        return answer

    def _retries(self, error: Exception) -> bool:
        if not isinstance(error, RedisError | OSError) or isinstance(error, AuthenticationError | NoPermissionError):
            return False  # waiting changes no password and no ACL
        if not self._away:
            self._away = True
            _log.warning("redis does not answer; the projection waits, nothing is lost", error=str(error))
        return True


def connect(settings: Settings) -> "redis.Redis":
    """Return a client of the read models' Redis, at the database that the URL names, else `redis_db`.

    Raises ValueError when the settings name no Redis.
    """
    if settings.redis_url is None:
        raise ValueError("no Redis for the read models: set ENDOCRINE_REDIS_URL, such as redis://127.0.0.1:6379")
    given = {
        "username": settings.redis_user,
        "password": settings.secret("redis_password"),
    }
    if settings.redis_url.startswith("rediss:"):
        files = {"ca_certs": settings.redis_ca_file, "certfile": settings.redis_certificate_file}
        files["keyfile"] = settings.redis_key_file
        given |= {f"ssl_{name}": str(path) for name, path in files.items() if path is not None}
    return redis.from_url(
        settings.redis_url,
        # What the URL names goes before these.
        **{name: value for name, value in given.items() if value is not None},
        db=settings.redis_db,
        socket_timeout=settings.redis_timeout_s,
        socket_connect_timeout=settings.redis_timeout_s,
        # One place retries, and it tells: Store.
        retry=Retry(NoBackoff(), 0),
    )


def redis_error(settings: Settings, error: Exception) -> str:
    """Return what an error of Redis means, in a sentence that names the setting; never the URL, which may hold a
    password."""
    who = settings.redis_user or "default"
    if isinstance(error, NoPermissionError):
        return f"Redis does not let the user {who} do this ({error}); docs/security.md has the ACL it needs"
    if isinstance(error, AuthenticationError):
        return (
            f"Redis refused the credentials of the user {who}: check ENDOCRINE_REDIS_USER, ENDOCRINE_REDIS_PASSWORD or"
            " ENDOCRINE_REDIS_PASSWORD_FILE, and what ENDOCRINE_REDIS_URL names"
        )
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return untrusted("Redis", cause, address="ENDOCRINE_REDIS_URL", ca="ENDOCRINE_REDIS_CA_FILE",
                             ca_file=settings.redis_ca_file)  # fmt: skip
        if isinstance(cause, ssl.SSLError):
            return (
                f"Redis takes no TLS connection of ours ({cause.reason}): check ENDOCRINE_REDIS_CERTIFICATE_FILE and"
                " ENDOCRINE_REDIS_KEY_FILE, and that the port of ENDOCRINE_REDIS_URL is one of TLS"
            )
    # A server that wants a certificate closes the connection of a client that has none.
    over_tls = (settings.redis_url or "").startswith("rediss:") and settings.redis_certificate_file is None
    certificate = " or, where it wants a certificate, ENDOCRINE_REDIS_CERTIFICATE_FILE" if over_tls else ""
    return f"no Redis answers at ENDOCRINE_REDIS_URL ({error}); start it, or set another URL{certificate}"


async def take_over(settings: Settings, users: Sequence[str], sources: Sequence[str]) -> int:
    """Make what is foreign among these users' entries and events ours: the projection, now if one runs, reads these
    sources (`topic/partition`, the topics of their bonds) again and writes them as the topics say.

    Returns the number of keys taken over. Raises RedisError.
    """
    names = [keys.positions(settings.group), keys.bonds_index(), keys.foreign_keys()]
    for key in (made(user) for user in users for made in (keys.bond, keys.bond_events)):
        names += (key, keys.guard(key))
    async with connect(settings) as client:
        return int(await client.register_script(TAKE_OVER)(keys=names, args=[_TAKEN, *sources]))


async def clear(settings: Settings) -> int:
    """Delete what was projected, so that a projection fills it again from the topics, now if one runs.

    Returns the number of read models deleted. Keys that no projection wrote are left alone. Raises RedisError.
    """
    deleted = 0
    async with connect(settings) as client:
        async for guard in client.scan_iter(match=f"{keys.GUARD_PREFIX}*", count=1000):
            # Together: a guard without its key would keep the key from being filled again.
            deleted += await client.delete(guard, guard.removeprefix(keys.GUARD_PREFIX.encode())) == 2
        await client.delete(*keys.INDEXES)
        async for view in client.scan_iter(match=f"{keys.VIEW_PREFIX}*", count=1000):
            deleted += await client.delete(view)
        async for positions in client.scan_iter(match=keys.positions("*"), count=1000):
            await client.delete(positions)
    return deleted


def _listed(write: Write) -> tuple[str, str, int | str]:
    """The listing of a write, as the script takes it."""
    if (listing := write.listing) is None:
        return "", "", ""
    return listing.key, listing.member, "" if listing.score is None else listing.score


def _counted(write: Write) -> str:
    """What a write adds to spend, as the script takes it."""
    if (counted := write.counted) is None:
        return ""
    return f"{counted.tokens} {counted.at} {counted.prefix} {counted.identity}"


async def _call(call: Callable[[], Awaitable[Any]]) -> Any:
    return await call()


def _leave_logging_to_us() -> None:
    """Stamina's hooks log every single retry, of an outage of minutes as well."""
    if not any(getattr(hook, "spares_projection", False) for hook in get_on_retry_hooks()):
        set_on_retry_hooks([_spare(hook) for hook in get_on_retry_hooks()])


def _spare(hook: RetryHook) -> RetryHook:
    def spared(details: RetryDetails) -> Any:
        return None if details.name.startswith(f"{__name__}.") else hook(details)

    spared.spares_projection = True  # type: ignore[attr-defined]
    return spared
