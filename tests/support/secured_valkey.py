"""A Valkey with TLS in front and the two ACL users of docs/security.md, which are read from there; on loopback."""

import contextlib
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import redis.asyncio as redis

from endocrine.pipeline.local.valkey import DATABASE, ValkeyServer
from secured_broker import Authority
from tls_proxy import tls_in_front

_PAGE = Path(__file__).parents[2] / "docs/security.md"
_USER = re.compile(r"^ACL (SETUSER (endocrine-\w+) .*>)PASSWORD( .*)$", re.MULTILINE)


class SecuredValkey:
    """One server. Its own port is for the tests; processes have `port`, which asks for a certificate."""

    def __init__(self, folder: Path, authority: Authority, plain: str, port: int) -> None:
        self.url, self.port = plain, port
        self._folder, self._authority = folder, authority
        self._client = authority.issue("redis-client")

    def settings(self, user: str) -> dict[str, Any]:
        """Return the settings of a user, as `Settings` takes them."""
        return {
            "redis_url": f"rediss://127.0.0.1:{self.port}/{DATABASE}",
            "redis_user": user,
            "redis_password_file": self._folder / f"{user}.password",
            "redis_ca_file": self._authority.file,
            "redis_certificate_file": self._client.certificate,
            "redis_key_file": self._client.key,
        }

    async def refused(self) -> list[str]:
        """Return what users were refused by their ACLs, until now."""
        async with redis.from_url(self.url, decode_responses=True) as client:
            return [f"{one['username']}: {one['object']}" for one in await client.acl_log()]


@contextlib.asynccontextmanager
async def secured_valkey(folder: Path, authority: Authority) -> AsyncIterator[SecuredValkey]:
    server = ValkeyServer(folder / "valkey")
    await server.start()
    try:
        async with redis.from_url(server.url) as client:
            for before, user, after in _USER.findall(_PAGE.read_text()):
                password = secrets.token_urlsafe(12)
                (folder / f"{user}.password").write_text(password + "\n")
                await client.execute_command("ACL", *f"{before}{password}{after}".split())
        async with tls_in_front(server.port or 0, authority.issue("valkey"), authority) as port:
            yield SecuredValkey(folder, authority, server.url, port)
    finally:
        await server.stop()
