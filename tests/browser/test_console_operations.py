"""Pages of operations, as people use them: proving a turn, asking what if, health, what goes on now."""

import re

import pytest
from axe_playwright_python.async_playwright import Axe

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
REPLAY_MS = 180_000
"""Milliseconds that a replay may take: it is a process of its own, on a machine with others at work."""


async def accessible(one):
    found = (await Axe().run(one.page)).response
    for kind in ("violations", "incomplete"):
        assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found[kind]] == []
    assert await one.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def open_turn(one):
    await one.go("/turns?identity=ann&mode=strict")
    await one.page.locator("tbody a[href*='/turns/']").first.click()
    await one.page.get_by_role("heading", name="Parameters within their bounds").wait_for()


async def result(one):
    await one.page.locator(".verdict").wait_for(timeout=REPLAY_MS)
    return await one.page.locator(".sentences").inner_text()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
async def test_a_turn_is_proved_from_its_page_and_the_page_has_the_result(visit, width, dark):
    async with visit(width=width, dark=dark) as one:
        await open_turn(one)
        turn = one.page.url
        await one.page.get_by_role("button", name="Prove it").click()
        await one.page.get_by_role("heading", name="Proof").wait_for()
        await accessible(one)
        text = await result(one)
        assert re.match(r"Proved: \d+ derived records follow byte for byte from their inputs; \d+ batches", text), text
        assert not text.startswith("Proved: 0 ")
        assert "seals checked" in text
        await accessible(one)
        await one.page.get_by_role("link", name="to the turn").click()
        assert one.page.url == turn
        assert "Proved:" in await one.page.locator("main").inner_text()
        await accessible(one)
        assert one.complaints == []


async def test_what_if_says_in_sentences_what_another_policy_would_have_changed(visit):
    async with visit() as one:
        await one.go("/replays")
        await one.page.get_by_label("Policy as YAML").fill("defaults:\n  temperature: 0.2\n")
        await one.page.get_by_role("button", name="Run what-if").click()
        text = await result(one)
        assert "otherwise" in text.splitlines()[0]
        assert "temperature" in text.splitlines()[0]
        await accessible(one)
        for heading in ("By topic", "By field", "Changes"):
            assert await one.page.get_by_role("heading", name=heading, exact=True).count() == 1
        await one.go("/replays")
        assert "otherwise" in await one.page.locator("#tasks").inner_text()
        await accessible(one)
        assert one.complaints == []


async def test_a_policy_with_a_mistake_is_answered_with_its_line(visit):
    async with visit() as one:
        await one.go("/replays")
        await one.page.get_by_label("Policy as YAML").fill("bounds:\n  temperature: [0, 7]\n")
        await one.page.get_by_role("button", name="Run what-if").click()
        text = await result(one)
        assert "policy.yaml:2" in text
        assert "/tmp" not in text
        assert "failed" in await one.page.locator("#task").inner_text()


async def test_a_replay_that_runs_is_stopped_and_the_page_names_by_whom(visit):
    async with visit() as one:
        await one.go("/replays")
        await one.page.get_by_role("button", name="Prove", exact=True).click()
        await one.page.get_by_role("button", name="Stop").click()
        assert re.fullmatch(r"all\w+ stopped it\.", await result(one))


async def test_parameters_show_how_they_came_about_when_asked(visit):
    async with visit() as one:
        await open_turn(one)
        row = one.page.locator("tr", has=one.page.get_by_role("rowheader", name="temperature"))
        summary = row.locator("summary")
        assert "alignment_risk 0.8" in await summary.inner_text()
        assert not await row.locator("ol").is_visible()
        await summary.click()
        assert "default" in await row.locator("ol").inner_text()
        assert "blocked: " in await one.page.locator(".chips").first.inner_text()
        await accessible(one)


async def test_the_command_that_rates_a_turn_is_copied(visit):
    async with visit() as one:
        await one.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await open_turn(one)
        await one.page.get_by_text("Rate this turn with curl").click()
        await one.page.get_by_role("button", name="Copy as curl").click()
        await one.page.get_by_text("Copied.").wait_for()
        copied = await one.page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith("curl -H ")
        assert copied.endswith("/v1/feedback")
        assert '"rating": 5' in copied
        assert one.complaints == []


async def test_the_overview_has_workers_lag_breakers_decisions_and_spend(visit):
    async with visit() as one:
        await one.go("/")
        await one.page.locator("section", has_text="Workers").get_by_role("table").wait_for()
        main = one.page.locator("main")
        await one.page.wait_for_function("document.querySelectorAll('main table').length >= 5")
        text = await main.inner_text()
        assert re.search(r"Decisions\s+[1-9]", text)
        assert re.search(r"decide \d+, record \d+ records behind", text)
        for part in ("projection", "breaker of every tool is closed.", "No connector refused", "denied "):
            assert part in text, part
        assert "9,000 tokens reported by turns that closed since" in text  # six turns
        assert "Cannot be read" not in text
        await one.page.get_by_role("navigation", name="Time shown").get_by_role("link", name="24h").click()
        assert one.page.url.endswith("span=24h")
        await accessible(one)


async def test_health_has_a_word_for_each_and_verifies_the_chains(visit):
    async with visit() as one:
        await one.go("/health")
        text = await one.page.locator("main").inner_text()
        assert "No valid backup" in text
        assert "seal keys" in text
        assert await one.page.locator(".word-fail").count() == 1  # no backup
        await one.page.get_by_role("button", name="Verify the chains now").click()
        assert "Sound as far as it was checked" in await result(one)
        await one.go("/health")
        assert "Sound as far as it was checked" in await one.page.locator("main").inner_text()
        await accessible(one)
        assert one.complaints == []
