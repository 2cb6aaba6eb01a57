"""A Valkey with TLS, client certificates and ACL users: the read models need what docs/security.md grants, no more."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import NoPermissionError, RedisError

from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.redis import views
from endocrine.pipeline.views.redis.store import Store, clear, connect, redis_error
from secured_broker import Authority
from secured_valkey import SecuredValkey, secured_valkey
from tls_proxy import tls_in_front

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def valkey(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredValkey]:
    async with secured_valkey(tmp_path_factory.mktemp("valkey"), authority) as found:
        yield found


def of(valkey: SecuredValkey, user: str, **other: Any) -> Settings:
    return Settings(**valkey.settings(f"endocrine-{user}") | other)


async def why(settings: Settings) -> str:
    with pytest.raises(RedisError) as found:
        async with connect(settings) as client:
            await client.ping()
    return redis_error(settings, found.value)


async def test_the_gateways_user_reads_and_may_not_write_a_read_model(valkey: SecuredValkey) -> None:
    settings = of(valkey, "gateway")
    async with connect(settings) as client:
        assert await views.bond(client, "ann") is None
        with pytest.raises(NoPermissionError) as found:
            await client.set("abl:ann", "{}")
    assert "Redis does not let the user endocrine-gateway do this" in redis_error(settings, found.value)


@pytest.mark.parametrize("user", ["gateway", "projector"])
async def test_no_user_reaches_keys_of_others_or_the_server(valkey: SecuredValkey, user: str) -> None:
    async with connect(of(valkey, user)) as client:
        for words in (["SET", "other", "x"], ["GET", "other"], ["FLUSHALL"], ["CONFIG", "GET", "*"], ["KEYS", "*"]):
            with pytest.raises(NoPermissionError):
                await client.execute_command(*words)


async def test_the_projectors_user_may_empty_the_read_models(valkey: SecuredValkey) -> None:
    settings = of(valkey, "projector")
    async with Store(settings) as store:
        assert await store.positions(["t/0"]) == [-1]
    assert await clear(settings) == 0


async def test_each_refusal_is_one_line_that_names_the_setting(
    valkey: SecuredValkey, authority: Authority, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong\n")
    found = {
        "ENDOCRINE_REDIS_PASSWORD_FILE": await why(of(valkey, "gateway", redis_password_file=wrong)),
        "ENDOCRINE_REDIS_CA_FILE": await why(of(valkey, "gateway", redis_ca_file=Authority(tmp_path / "other").file)),
    }
    without = of(valkey, "gateway", redis_certificate_file=None, redis_key_file=None)
    found["ENDOCRINE_REDIS_CERTIFICATE_FILE"] = await why(without)
    other = await asyncio.to_thread(authority.issue, "elsewhere", host="redis.example")
    async with tls_in_front(0, other) as port:
        elsewhere = of(valkey, "gateway", redis_url=f"rediss://127.0.0.1:{port}")
        found["check ENDOCRINE_REDIS_URL"] = await why(elsewhere)
    for named, line in found.items():
        assert named in line
        assert "\n" not in line
