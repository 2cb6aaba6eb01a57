"""The pages about people: what waits for one, memories and their conflicts, an identity and its timeline."""

from urllib.parse import quote

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe

from endocrine.pipeline.console.app import routes
from endocrine.pipeline.console.screens import approvals, memory
from gateway_serving import forget, served, stack
from people_life import HOSTILE, POLICY, live
from policies import policy_over

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
NAMED = quote(HOSTILE, safe="")
SHOWN = ["/approvals", "/approvals?kind=turn", "/memory", "/memory?subject=ann&status=active", "/memory/conflicts",
         "/memory/conflicts?subject=ann", "/memory/trusted", "/memory/trusted?subject=ann", "/identities/ann",
         "/identities/ann?union=1", "/timelines/ann", "/timelines/ann?union=1",
         "/timelines/ann?kind=memory", f"/timelines/{NAMED}", f"/memory?subject={NAMED}",
         "/bonds", "/bonds?phase=bonded"]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(console_settings):
    """A gateway with the console, whose policy lets calls and turns wait for a person."""
    policy = policy_over(POLICY)
    async with (
        stack(console_settings, policy=policy),
        served(console_settings, policy=policy, more=routes) as door,
    ):
        await live(door)
        yield door
    await forget(console_settings)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
async def test_every_page_complains_of_nothing_and_everybody_can_reach_it(visit, width, dark, pictures):
    async with visit(width=width, dark=dark) as one:
        for path in SHOWN:
            answer = await one.go(path)
            assert answer.status == 200, (path, await one.page.locator("main").inner_text())
            await one.page.wait_for_load_state("networkidle") if path.startswith("/identities") else None
            found = (await Axe().run(one.page)).response
            assert [(path, rule["id"], rule["nodes"][0]["html"][:200]) for rule in found["violations"]] == []
            assert [(path, rule["id"], rule["nodes"][0]["html"][:200]) for rule in found["incomplete"]] == []
            wider = await one.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wider <= 0, (path, wider)
            if pictures is not None:
                name = path.strip("/").replace("/", "-").replace("?", "-")[:40]
                await one.page.screenshot(path=pictures / f"{name}-{width}-{dark}.png", full_page=True)
        assert one.complaints == []


@pytest.mark.parametrize(("path", "screen"), [("/approvals", approvals), ("/memory", memory)])
async def test_what_waits_has_a_next_page_and_the_one_before_by_keys(visit, monkeypatch, path, screen):
    monkeypatch.setattr(screen, "PAGE", 2)
    async with visit() as one:
        await one.go(path)
        first = await one.page.locator("article").all_inner_texts()
        assert len(first) == 2
        assert await one.page.get_by_role("link", name="Previous").count() == 0
        await one.page.keyboard.press("n")
        await one.page.get_by_role("link", name="Previous").wait_for()
        assert await one.page.locator("article").count() >= 1
        assert first[0].splitlines()[2:] not in [
            text.splitlines()[2:] for text in await one.page.locator("article").all_inner_texts()
        ]
        await one.page.keyboard.press("p")
        await one.page.get_by_role("link", name="Previous").wait_for(state="detached")
        again = await one.page.locator("article h2").all_inner_texts()
        assert again == [text.splitlines()[0] for text in first]
        assert one.complaints == []


async def test_a_call_shows_its_arguments_as_text_and_counts_down(visit):
    async with visit() as one:
        await one.go("/approvals?kind=call")
        assert f'"query": "c1 {HOSTILE}"'.replace('onerror="alert(1)"', 'onerror=\\"alert(1)\\"') in (
            await one.page.locator("pre").first.inner_text()
        )
        left = one.page.locator("[data-left]").first
        before = await left.inner_text()
        await one.page.wait_for_function(
            "before => document.querySelector('[data-left]').textContent != before", arg=before
        )
        assert "min" in await left.inner_text()
        assert one.complaints == []


async def test_a_pending_call_is_approved_on_the_page_and_leaves_the_list(visit, door):
    async with visit() as one, visit() as another:
        await one.go("/approvals?kind=call")
        await another.go("/approvals?kind=call")
        before = await one.page.locator("article").count()
        card = one.page.locator("article", has_text="c1 <img")
        await card.get_by_label("Reason").fill("A harmless question")
        await card.get_by_role("button", name="Approve").click()
        await one.page.locator("article", has_text="c1 <img").wait_for(state="detached")
        assert "kind=call" in one.page.url
        assert await one.page.locator("article").count() == before - 1
        await another.page.locator("article", has_text="c1 <img").wait_for(state="detached")
        assert one.complaints == another.complaints == []
        await one.go("/timelines/ann?kind=commands")
        assert "approve: A harmless question, by all" in await one.page.locator("main").inner_text()
        await one.go("/timelines/ann?kind=decisions")
        assert "retrieve_knowledge: allowed" in await one.page.locator("main").inner_text()


async def test_a_denial_of_a_held_turn_needs_a_reason_which_is_on_record(visit):
    async with visit() as one:
        await one.go("/approvals?kind=turn")
        card = one.page.locator("article", has_text=f"Risky {HOSTILE}")
        await card.get_by_role("button", name="Deny").click()
        assert await card.get_by_label("Reason").evaluate("field => field.matches(':invalid')")
        await card.get_by_label("Reason").fill("Not today")
        await card.get_by_role("button", name="Deny").click()
        await card.wait_for(state="detached")
        await one.go("/timelines/bob?kind=commands")
        assert "deny_turn: Not today, by all" in await one.page.locator("main").inner_text()
        assert one.complaints == []


async def test_a_memory_is_edited_promoted_and_another_rejected(visit):
    async with visit() as one:
        await one.go("/memory?subject=ann")
        card = one.page.locator("article", has_text="prefers tabs")
        await card.get_by_text("Edit").click()
        await card.get_by_label("Content").fill("prefers tabs of four")
        await card.get_by_role("button", name="Save").click()
        card = one.page.locator("article", has_text="prefers tabs of four")
        await card.wait_for()
        await card.get_by_role("button", name="Promote").click()
        await card.wait_for(state="detached")
        other = one.page.locator("article", has_text="prefers blanks")
        await other.get_by_label("Reason").first.fill("Nobody does")
        await other.get_by_role("button", name="Reject").click()
        await other.wait_for(state="detached")
        await one.go("/memory?subject=ann&status=active")
        assert "prefers tabs of four" in await one.page.locator("main").inner_text()
        await one.go("/memory?subject=ann&status=invalid")
        assert "prefers blanks" in await one.page.locator("main").inner_text()
        assert one.complaints == []


async def test_a_conflict_shows_its_sides_with_their_authority_and_is_resolved(visit):
    async with visit() as one:
        await one.go("/memory/conflicts")
        card = one.page.locator("article", has_text="drink of ann")
        sides = card.locator(".sides > li")
        assert await sides.count() == 2
        assert "4 of 4: a memory" in await sides.first.inner_text()
        await card.get_by_label("Reason").fill("Everybody knows")
        await sides.filter(has_text="tea").get_by_role("button", name="This one wins").click()
        await card.wait_for(state="detached")
        await one.go("/memory/conflicts?subject=ann&status=resolved")
        text = await one.page.locator("main").inner_text()
        assert "supersede_others" in text
        assert "Everybody knows" in text
        assert one.complaints == []


async def test_trusted_state_is_set_and_ended_and_its_history_says_so(visit):
    async with visit() as one:
        await one.go("/memory/trusted?subject=ann")
        assert "early <img" in await one.page.get_by_role("table").inner_text()
        await one.page.get_by_label("Key").fill("owner")
        await one.page.get_by_label("Value").fill("Ann herself")
        await one.page.get_by_role("button", name="Set", exact=True).click()
        card = one.page.locator("article", has_text="Ann herself")
        await card.get_by_label("Reason").fill("Moved on")
        await card.get_by_role("button", name="End it").click()
        await card.wait_for(state="detached")
        history = await one.page.get_by_role("table").inner_text()
        assert "Moved on" in history
        assert "invalidated" in history
        assert one.complaints == []


async def test_linked_identities_are_shown_as_one_until_the_link_is_taken_back(visit):
    async with visit() as one:
        await one.go("/identities/ann")
        card = one.page.locator("article", has_text="ann and bob")
        await card.get_by_role("button", name="They are one").click()
        await one.page.get_by_text("Show all of them as one").click()
        assert "union=1" in one.page.url
        assert await one.page.locator("#attribution td a", has_text="bob").count() >= 1
        assert await one.page.locator("svg.spark").count() >= 1
        await one.go("/timelines/ann?union=1&kind=turns")
        assert {"ann", "bob"} <= set(await one.page.locator(".entries a").all_inner_texts())
        await one.go("/identities/bob")
        card = one.page.locator("article", has_text="ann and bob")
        await card.get_by_role("button", name="Take it back").click()
        await one.page.get_by_text("Not linked with another identity").wait_for()
        assert one.complaints == []


async def test_the_timeline_is_filtered_in_the_address_and_comes_into_the_identitys_page(visit):
    async with visit() as one:
        await one.go("/identities/ann")
        await one.page.locator("#timeline .entries li").first.wait_for()
        await one.go("/timelines/ann")
        await one.page.get_by_label("Kind").select_option("bond")
        await one.page.get_by_role("button", name="Filter").click()
        assert "kind=bond" in one.page.url
        kinds = await one.page.locator(".entries .kind").all_inner_texts()
        assert set(kinds) == {"bond"}
        assert "phase_transition" in await one.page.locator("main").inner_text()
        assert one.complaints == []


async def test_a_key_without_the_scope_content_sees_no_word_of_people(visit, door):
    async with visit(secret=door.key("read")) as one:
        for path in (*SHOWN, "/timelines/ann?kind=observations"):
            assert (await one.go(path)).status == 200, path
            text = await one.page.locator("main").inner_text()
            for word in ("Hello <img", "Risky <img", "c1 <img", "prefers", "early <img", "Note <img"):
                assert word not in text, (path, word)
            assert await one.page.locator("main form[method=post]").count() == 0, path
