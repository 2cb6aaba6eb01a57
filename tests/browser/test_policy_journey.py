"""An operator checks a draft, publishes it as a canary, promotes it and rolls it back, on the page of the policy."""

import pytest
from axe_playwright_python.async_playwright import Axe

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def turn(door, who="ann"):
    async with door.client() as client:
        opened = await client.post("/v1/turns", json={"identity": who, "prompt": "Hello", "signals": []})
        return opened.json()


async def test_a_draft_is_checked_published_to_a_share_promoted_and_rolled_back(visit, door):
    base = (await turn(door))["policy"]
    async with visit() as one:
        page = one.page
        await one.go("/policy")
        await page.get_by_label("What differs from the shipped policy").fill("defaults:\n  temperature: warm\n")
        await page.get_by_role("button", name="Check", exact=True).click()
        await page.get_by_role("heading", name="1 mistake").wait_for()
        assert "draft:2: defaults.temperature" in await page.get_by_label("Mistakes").inner_text()

        await page.get_by_label("What differs from the shipped policy").fill("defaults:\n  temperature: 0.2\n")
        await page.get_by_role("button", name="Check", exact=True).click()
        await page.get_by_role("heading", name="No mistake").wait_for()
        assert "defaults.temperature" in await page.get_by_label("Draft as checked").inner_text()
        assert (await Axe().run(page)).response["violations"] == []

        await page.get_by_label("Percent of identities").fill("50")
        await page.get_by_role("button", name="Publish as a canary").click()
        await page.get_by_text("50.00 % of identities").wait_for()
        await page.get_by_role("button", name="Promote the canary").click()
        await page.get_by_text("promote by").wait_for()
        assert (await Axe().run(page)).response["violations"] == []

        promoted = (await turn(door))["policy"]
        while promoted == base:  # the worker follows on its own
            promoted = (await turn(door))["policy"]
        assert promoted == door.gateway.policy.digest
        assert (await turn(door, "bob"))["parameters"]["temperature"] == 0.2

        await page.get_by_role("button", name="Roll back").click()
        await page.get_by_text("rollback by").wait_for()
        rows = page.get_by_role("region", name="Rollouts").get_by_role("row")
        assert await rows.count() == 4
        assert one.complaints == []
    assert door.gateway.policy.digest == base


async def test_what_a_draft_would_have_changed_is_on_the_page(visit):
    async with visit() as one:
        await one.go("/policy")
        await one.page.get_by_label("What differs from the shipped policy").fill("defaults:\n  temperature: 0.2\n")
        await one.page.get_by_role("button", name="What if").click()
        await one.page.get_by_role("heading", name="What would have been otherwise").wait_for(timeout=120_000)
        await one.page.locator("#task .verdict").wait_for(timeout=120_000)
        report = await one.page.get_by_label("What if", exact=True).inner_text()
        assert "otherwise" in report, report
        assert "modulations" in report, report
        assert await one.page.get_by_label("What differs from the shipped policy").input_value()  # it is kept
        assert (await Axe().run(one.page)).response["violations"] == []
        await one.page.get_by_role("link", name="its own page").click()
        assert "otherwise" in await one.page.locator("#task").inner_text()
        assert one.complaints == []
