"""Pictures of pages on the demo's scenario, for README and docs: `make screenshots` writes them to docs/pictures.

Only where ENDOCRINE_TEST_PICTURES names a folder; pages themselves are tested beside this file.
"""

import os
import time

import pytest
import pytest_asyncio

from endocrine.pipeline.data import scenario
from endocrine.pipeline.data.ingest.produce import message
from endocrine.pipeline.gateway.keys import SCOPES
from endocrine.pipeline.kafka.connection import producer
from endocrine.pipeline.views.redis.keys import ViewKeys
from waiting import until_answer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif("ENDOCRINE_TEST_PICTURES" not in os.environ, reason="ENDOCRINE_TEST_PICTURES names no folder"),
]
ROUNDS = 3
HOUR_S = 3500
MOST_BYTES = 600_000
"""Of all pictures together: they are part of every clone."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(door):
    """The gateway, after some rounds of the scenario."""
    making = producer(door.settings)
    await making.start()
    try:
        for number in range(ROUNDS):
            for line in scenario.repeat(1, start=number):
                fed = scenario.live(line, number, time.time())
                key, value, headers = message(fed, source="endocrine/scenario")
                await making.send(door.settings.prefix + fed["topic"], value, key, headers=headers)
        await making.flush()
    finally:
        await making.stop()
    story = scenario.repeat(1, start=ROUNDS - 1)
    last = [line["value"]["audit_id"] for line in story if line["topic"] == "interactions"]
    views = ViewKeys(door.settings.prefix)

    async def explained():
        return [await door.gateway.redis.hexists(views.turn(one), "audit/0") for one in dict.fromkeys(last)]

    await until_answer(explained, lambda found: 2 * sum(found) >= len(found))
    # The story is played in seconds; the chart shows its turns as if they had come over an hour.
    listed = await door.gateway.redis.zrange(views.turns(), 0, -1)
    begin = time.time() - HOUR_S
    places = {one: int(1000 * (begin + HOUR_S * place / len(listed))) for place, one in enumerate(listed)}
    await door.gateway.redis.zadd(views.turns(), places)
    return door


async def test_pictures_of_the_scenario(visit, told, pictures):
    async with visit(secret=told.key(*SCOPES, name="operator")) as one:
        await one.page.set_viewport_size({"width": 1280, "height": 800})
        for name, path in (
            ("overview", "/"),
            ("turn", "/turns?mode=strict&identity=ann"),
            ("topic", "/topics/modulations?where=value.mode%20%3D%3D%20'strict'"),
        ):
            await one.go(path)
            if name == "turn":
                await one.page.locator("tbody a[href*='/turns/']").first.click()
                await one.page.locator("h1").wait_for()
            await one.page.mouse.move(0, 0)
            await one.page.screenshot(path=pictures / f"console-{name}.png")
        assert one.complaints == []
    sizes = {file.name: file.stat().st_size for file in pictures.glob("console-*.png")}
    assert sum(sizes.values()) < MOST_BYTES, sizes
