"""Nothing that a producer writes runs or styles anything in a page: each text of the list, in every field, in Chromium.

A page that is new goes into PAGES; a topic that is new is filled by itself (tests/support/hostile_records.py).
"""

import asyncio
import uuid
from pathlib import Path
from urllib.parse import quote

import orjson
import pytest
import pytest_asyncio

from endocrine.pipeline.console.browsing import tail
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.kafka.connection import producer
from endocrine.pipeline.views.explain.sections import plain
from endocrine.pipeline.views.redis import keys
from endocrine.pipeline.views.redis.keys import ViewKeys
from hostile_records import filled
from waiting import until_answer

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
TEXTS = orjson.loads((Path(__file__).parent / "data" / "hostile_text.json").read_bytes())
VIEWED = ("bonds", "bond-events", "attribution-states", "style-tables", "trusted-states", "memories", "conflicts",
          "identity-links", "incidents", "tool-analytics")  # fmt: skip
"""Topics whose records come to the read models as they are: each holds every text."""
EVERY = 6
"""The other topics hold every so many of them, so that all texts are on some and all topics hold some."""
PAGES = ("/", "/?span=24h", "/turns", "/incidents", "/incidents/statistics", "/bonds", "/dead-letters", "/topics",
         "/policy", "/identities", "/approvals", "/memory", "/memory/conflicts", "/replays", "/health")  # fmt: skip
LOOK = """() => ({
  ran: window.ran ?? null,
  strange: [...document.querySelectorAll(`main :is(script:not([src^="/console/static/"]), style, link, img,
    image, svg:not(.spark), math, iframe, object, embed, base, meta, video, marquee, animate, body,
    template), main [style]:not(.chart *), body > :is(script, style)`)]
    .map((one) => one.outerHTML.slice(0, 120)),
  handlers: [...document.querySelectorAll("*")].filter((one) => [...one.attributes].some((attribute) =>
    /^(on|hx-on|data-hx)/.test(attribute.name))).map((one) => one.outerHTML.slice(0, 120)),
  asking: [...document.querySelectorAll("[hx-get], [hx-post]")].filter((one) =>
    !["live", "entries", "task", "tasks"].includes(one.id)).length,
  leaving: [...document.links].filter((one) => one.origin !== location.origin).map((one) => one.href),
  sending: [...document.forms].filter((one) =>
    new URL(one.getAttribute("action") ?? "", location.href).origin !== location.origin).length,
  focused: document.activeElement === document.body || document.activeElement === null,
  shown: getComputedStyle(document.querySelector("main")).display,
})"""
CLEAN = {"ran": None, "strange": [], "handlers": [], "asking": 0, "leaving": [], "sending": 0, "focused": True,
         "shown": "block"}  # fmt: skip


async def test_there_are_sixty_texts():
    assert len(set(TEXTS)) == 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def flooded(door):
    """The gateway of this file, after every text went into every field."""
    settings = door.settings
    making = producer(settings)
    await making.start()
    try:
        # In a thread: worker and gateway live in this process, and would miss their times.
        for topic, made in await asyncio.to_thread(all_records):
            await making.send(settings.prefix + topic, *made)
        await making.flush()
    finally:
        await making.stop()
    async with door.client() as client:
        ids = [await turn_of(client, text) for text in TEXTS]
        redis, views = door.gateway.redis, ViewKeys(settings.prefix)

        async def arrived():
            there = [await redis.exists(place(TEXTS[-1])) for place in (keys.memories, keys.style, keys.attribution)]
            audits = [(await client.get(f"/v1/audits/{one}")).status_code for one in ids[-3:]]
            return sum(there), await redis.zcard(views.incidents()) >= len(TEXTS), set(audits)

        await until_answer(arrived, lambda found: found == (3, True, {200}))
    return door, ids


def all_records():
    """Topic and record of everything that is written straight onto topics."""
    return [
        (topic, record(topic, text))
        for place, topic in enumerate(CATALOGUE)
        for number, text in enumerate(TEXTS)
        if topic in VIEWED or (number + place) % EVERY == 0
    ]


def record(topic, text):
    """Value, key, partition and headers of a record that is hostile in all of them."""
    key, value = filled(topic, text)
    headers = [(text, text.encode()), ("endocrine-origin", text.encode()), ("endocrine-cut", f"{text}/0/1".encode()),
               ("ce_id", text.encode()), ("endocrine-error-kind", text.encode())]  # fmt: skip
    return orjson.dumps(value), key, None, None, headers


async def turn_of(client, text):
    """A turn whose prompt, answer, tool, arguments and feedback are the text."""
    common = {"identity": text}
    opened = (await client.post("/v1/turns", json=common | {"prompt": text, "project": text})).json()
    audit_id = opened["audit_id"]
    call = {"audit_id": audit_id, "step": 1, "call_id": uuid.uuid4().hex, "tool": text, "arguments": {text: text}}
    await client.post("/v1/tool-calls", json=common | call)
    await client.post(f"/v1/turns/{audit_id}/close", json=common | {"response": text})
    return audit_id


async def look(one, path):
    """Open a page and check that nothing of it is more than text."""
    answer = await one.go(path)
    assert answer.status == 200, (path, (await one.page.locator("main").inner_text())[:300])
    assert await one.page.evaluate(LOOK) == CLEAN, path
    assert one.complaints == [], path
    assert one.elsewhere == [], path


async def test_lists_show_every_text_as_text(visit, flooded):
    async with visit() as one:
        for path in PAGES:
            await look(one, path)
            for _ in range(8):
                following = one.page.locator("a[rel=next]")
                if not await following.count():
                    break
                await look(one, (await following.get_attribute("href")).removeprefix("/console"))


async def test_topics_show_every_text_as_text(visit, flooded):
    async with visit() as one:
        for topic, entry in CATALOGUE.items():
            await look(one, f"/topics/{topic}")
            assert await one.page.locator("article").count() >= 1, topic
            if entry.owner:
                await look(one, f"/topics/{topic}.dlq")


async def test_the_page_of_an_identity_shows_every_text_as_text(visit, flooded):
    async with visit() as one:
        for text in TEXTS:
            await look(one, f"/identities/{quote(text, safe='')}")
            assert (
                await one.page.locator("h1").text_content() == f"Identity {plain(text.strip())}"
            )  # names have no space around them
        for text in TEXTS[::6]:
            await look(one, f"/timelines/{quote(text, safe='')}")
            await look(one, f"/memory/trusted?subject={quote(text, safe='')}")


async def test_the_page_of_a_turn_shows_every_text_as_text(visit, flooded):
    _, ids = flooded
    async with visit() as one:
        for text, audit_id in zip(TEXTS, ids, strict=True):
            await look(one, f"/turns/{audit_id}")
            assert plain(text) in await one.page.locator("main").text_content()


async def test_a_text_in_the_address_is_a_text_in_the_fields(visit, flooded):
    names = ("key", "contains", "field", "equals", "where", "identity", "project", "kind", "tool", "phase", "span")
    async with visit() as one:
        for place, text in enumerate(TEXTS):
            path = ("/topics/signals", "/turns", "/incidents", "/bonds")[place % 4]
            query = "&".join(f"{name}={quote(text, safe='')}" for name in names)
            await look(one, f"{path}?{query}")


async def test_what_arrives_while_a_page_follows_is_shown_as_text(visit, flooded, monkeypatch):
    monkeypatch.setattr(tail, "A_SECOND", 1000)
    door, _ = flooded
    async with visit() as one:
        await one.go("/topics/feedback")
        await one.page.get_by_role("button", name="Follow what arrives").click()
        await one.page.get_by_role("status").filter(has_text="following").wait_for()
        making = producer(door.settings)
        await making.start()
        try:
            for text in TEXTS:
                await making.send(door.settings.prefix + "feedback", *record("feedback", text))
            await making.flush()
        finally:
            await making.stop()
        shown = one.page.locator("[data-records] article")
        await shown.nth(len(TEXTS) - 1).wait_for()
        text = await one.page.locator("[data-records]").text_content()
        assert [part for part in TEXTS if plain(part) not in text] == []
        await one.page.get_by_role("button", name="Pause").click()
        assert "paused" in await one.page.get_by_role("status").text_content()
        assert await one.page.evaluate(LOOK) == CLEAN | {"focused": False}
        assert one.complaints == []
        assert one.elsewhere == []
