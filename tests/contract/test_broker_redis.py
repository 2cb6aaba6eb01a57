"""What the read models need of Redis: database 12, one atomic script, lists that are pushed and trimmed."""

import pytest
import redis.asyncio

SCRIPT = """
local seen = redis.call('HGET', KEYS[1], ARGV[1])
if seen and tonumber(seen) >= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[2], ARGV[3])
redis.call('LPUSH', KEYS[3], ARGV[3])
redis.call('LTRIM', KEYS[3], 0, 2)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


@pytest.fixture
async def client(broker, prefix):
    connection = redis.asyncio.Redis.from_url(broker.redis_url, decode_responses=True)
    yield connection
    if keys := await connection.keys(prefix + "*"):
        await connection.delete(*keys)
    await connection.aclose()


async def test_a_script_guarded_by_offset_applies_each_offset_once(client, prefix):
    keys = [prefix + "offsets", prefix + "entry", prefix + "events"]
    answers = [await client.eval(SCRIPT, 3, *keys, "bonds/0", offset, f"v{offset}") for offset in (1, 2, 2, 1, 5, 6)]
    assert answers == [1, 1, 0, 0, 1, 1]
    assert await client.get(keys[1]) == "v6"
    assert await client.lrange(keys[2], 0, -1) == ["v6", "v5", "v2"]


async def test_a_loaded_script_is_called_by_its_hash(client, prefix):
    script = client.register_script(SCRIPT)
    assert await script(keys=[prefix + "o", prefix + "e", prefix + "l"], args=["p", 1, "v"]) == 1
    digest = await client.script_load("return ARGV[1]")
    assert await client.evalsha(digest, 0, "x") == "x"
    with pytest.raises(redis.exceptions.NoScriptError):
        await client.evalsha("0" * 40, 0)


async def test_a_script_that_fails_says_so(client):
    with pytest.raises(redis.exceptions.ResponseError):
        await client.eval("return redis.call('NOSUCHCOMMAND')", 0)


async def test_database_12_is_not_database_0(broker, client, prefix):
    await client.set(prefix + "abl", "x")
    other = redis.asyncio.Redis.from_url(broker.redis_url.removesuffix("/12") + "/0")
    assert await other.get(prefix + "abl") is None
    await other.aclose()


async def test_a_transaction_is_applied_whole(client, prefix):
    async with client.pipeline(transaction=True) as pipe:
        answers = await pipe.set(prefix + "a", 1).lpush(prefix + "b", "x", "y").lrange(prefix + "b", 0, -1).execute()
    assert answers == [True, 2, ["y", "x"]]
