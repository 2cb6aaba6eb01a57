"""Every page of the console: what it shows, that it complains of nothing, that everybody can reach it."""

import contextlib
from urllib.parse import quote

import httpx2 as httpx
import pytest
from axe_playwright_python.async_playwright import Axe

from endocrine.pipeline.console.actions import packed
from endocrine.pipeline.console.app import PAGES

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>{{7*7}}'
SHOWN = ["/", "/turns", "/turns?mode=strict", "/incidents", "/identities", "/identities/ann", "/bonds", "/topics",
         "/topics/interactions", "/topics/audits", "/dead-letters", "/policy", "/approvals", "/memory",
         "/replays", "/health", "/?span=7d",
         "/topics/journal", "/topics/signals.dlq", "/incidents/statistics", "/topics/interactions?where=value.nope",
         "/topics/interactions?where=1 %2B",
         f"/identities/{quote(HOSTILE, safe='')}", f"/turns?identity={quote(HOSTILE)}"]  # fmt: skip


async def test_every_page_of_the_menu_is_among_those_that_are_shown():
    assert {page.path for page in PAGES if page.menu} <= set(SHOWN)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
async def test_every_page_complains_of_nothing_and_everybody_can_reach_it(visit, width, dark, pictures):
    async with visit(width=width, dark=dark) as one:
        for path in SHOWN:
            answer = await one.go(path)
            assert answer.status == 200, (path, await one.page.locator("main").inner_text())
            found = (await Axe().run(one.page)).response
            assert [(path, rule["id"], rule["nodes"][0]["html"][:200]) for rule in found["violations"]] == []
            assert [(path, rule["id"], rule["nodes"][0]["html"][:200]) for rule in found["incomplete"]] == []
            assert [(path, *shift) for shift in await one.shifts()] == []
            wider = await one.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wider <= 0, (path, wider)
            if pictures is not None:
                name = f"{path.strip('/').partition('?')[0].replace('/', '-')[:30] or 'overview'}-{width}-{dark}.png"
                await one.page.screenshot(path=pictures / name, full_page=True)
        assert one.complaints == []


async def test_a_turn_shows_its_mode_its_parameters_and_why_a_call_was_denied(visit, pictures):
    async with visit() as one:
        await one.go("/turns?identity=ann&mode=strict")
        await one.page.locator("tbody a[href*='/turns/']").first.click()
        text = await one.page.locator("main").inner_text()
        assert "the tightest limits" in text
        assert "temperature" in text
        assert "exec_code" in text or "code" in text
        assert HOSTILE in text  # the prompt, as text
        if pictures is not None:
            await one.page.screenshot(path=pictures / "turn.png", full_page=True)
        found = (await Axe().run(one.page)).response
        assert [rule["id"] for rule in (*found["violations"], *found["incomplete"])] == []
        assert one.complaints == []


async def test_a_new_turn_appears_without_a_reload(visit, door):
    async with visit() as one:
        await one.go("/turns")
        before = await one.page.locator("tbody tr").count()
        await one.page.evaluate("window.marked = true")
        async with door.client() as client:
            await client.post("/v1/turns", json={"identity": "cleo", "prompt": "Hi"})
        await one.page.locator("tbody tr", has_text="cleo").wait_for()
        assert await one.page.locator("tbody tr").count() == before + 1
        assert await one.page.evaluate("window.marked")
        assert one.complaints == []


async def test_who_was_seen_lately_is_listed_where_no_identity_is_named_and_leads_to_its_page(visit):
    async with visit() as one:
        await one.go("/identities")
        assert {"ann", "bob"} <= set(await one.page.locator("tbody th").all_inner_texts())
        await one.page.get_by_role("link", name="ann", exact=True).click()
        await one.page.get_by_role("heading", name="Identity ann").wait_for()


async def test_what_is_read_behind_the_overview_comes_by_itself(visit):
    async with visit() as one:
        await one.go("/")
        await one.page.evaluate("window.marked = true")
        await one.page.get_by_text("Members of the deployment's groups").wait_for()
        await one.page.get_by_text("Being read").first.wait_for(state="detached")
        assert await one.page.evaluate("window.marked")


async def test_a_filter_stands_in_the_address_and_in_its_field(visit):
    async with visit() as one:
        await one.go("/turns")
        await one.page.get_by_label("Identity").fill("bob")
        await one.page.get_by_role("button", name="Filter").click()
        assert "identity=bob" in one.page.url
        assert await one.page.get_by_label("Identity").input_value() == "bob"
        names = await one.page.locator("tbody td:nth-child(2)").all_inner_texts()
        assert set(names) == {"bob"}


async def test_keys_reach_the_filter_and_skip_to_the_content(visit):
    async with visit() as one:
        await one.go("/turns")
        await one.page.keyboard.press("/")
        assert await one.page.evaluate("document.activeElement.name") == "identity"
        await one.go("/turns")
        await one.page.keyboard.press("Tab")
        await one.page.keyboard.press("Enter")
        assert await one.page.evaluate("document.activeElement.id") == "main"


async def test_incidents_leave_as_csv(visit):
    async with visit() as one:
        await one.go("/incidents?kind=tool_blocked")
        async with one.page.expect_download() as waiting:
            await one.page.get_by_role("link", name="Export as CSV").click()
        download = await waiting.value
        rows = (await download.path()).read_text().splitlines()
        assert rows[0].startswith("ts,kind,identity")
        assert len(rows) > 3


async def test_a_cap_that_is_set_on_the_page_is_a_command_on_record(visit, door):
    async with visit() as one:
        await one.go("/identities/ann")
        await one.page.get_by_label("Messages a day").fill("17")
        await one.page.get_by_role("button", name="Set cap").click()
        await one.page.get_by_role("heading", name="Identity ann").wait_for()
        await one.go("/topics/commands")
        text = await one.page.locator("main").inner_text()
        assert '"cap": 17' in text
        assert '"kind": "set_cap"' in text


async def test_a_derived_record_leads_to_the_one_it_comes_from(visit):
    async with visit() as one:
        await one.go("/topics/modulations")
        await one.page.locator("article .links a").first.click()
        assert "/console/topics/" in one.page.url
        assert "offset=" in one.page.url
        assert await one.page.locator("article").count() >= 1


async def test_nobody_sees_a_page_without_a_key(visit):
    async with visit(secret="") as one:
        await one.go("/turns?mode=strict")
        await one.page.get_by_role("heading", name="Sign in").wait_for()
        await one.page.get_by_label("API key").fill("ek_wrong")
        await one.page.get_by_role("button", name="Sign in").click()
        assert "no valid API key" in await one.page.locator("main").inner_text()
        assert (await one.context.cookies()) == []


async def test_who_signs_in_comes_back_to_the_page_that_was_asked_for(visit, door):
    async with visit(secret="") as one:
        await one.go("/turns?mode=strict")
        await one.page.get_by_label("API key").fill(door.secret)
        await one.page.get_by_role("button", name="Sign in").click()
        await one.page.get_by_role("heading", name="Turns").wait_for()
        assert one.page.url.endswith("/console/turns?mode=strict")
        cookie = (await one.context.cookies())[0]
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/console")
        assert door.secret not in cookie["value"]


@contextlib.asynccontextmanager
async def signed_in(door, secret):
    async with httpx.AsyncClient(base_url=door.url, trust_env=False, timeout=60) as client:
        answer = await client.post("/console/sign-in", data={"key": secret})
        assert answer.status_code == 303, answer.text
        yield client


FORMS = {
    "/bonds": {"identity": "ann", "kind": "set_cap", "cap": "3"},
    "/dead-letters": {"action": "discard", "place": "signals.dlq/0/0"},
    "/approvals": {"named": packed("call", "ann", "a", "none"), "answer": "deny", "reason": "no"},
    "/memory": {"named": packed("ann", f"m-{24 * '0'}"), "action": "reject"},
    "/memory/conflicts": {"named": packed("ann", "tea", f"c-{24 * '0'}"), "choice": "dismiss"},
    "/memory/trusted": {"named": packed("ann", "status", "none"), "action": "invalidate"},
    "/policy": {"action": "nothing that there is"},
    "/replays": {"replay": "verify", "identity": "ann"},
    "/links": {"named": packed("ann", "bob"), "action": "dismiss"},
}
"""What each action is asked: those of things that are not there answer 404, 409 or 410."""


@pytest.mark.parametrize("path", [page.path for page in PAGES if page.post])
async def test_an_action_needs_the_token_of_its_session_the_same_site_and_the_scope(door, path):
    form = FORMS[path]

    async def token(client):
        page = (await client.get("/console/identities/ann")).text
        return page.partition('name="csrf" value="')[2].partition('"')[0]

    url = f"/console{path}"
    async with (
        signed_in(door, door.key("read")) as reader,
        signed_in(door, door.secret) as operator,
        signed_in(door, door.secret) as another,
    ):
        mine, others = await token(operator), await token(another)
        assert mine
        assert mine != others
        assert (await reader.post(url, data={**form, "csrf": await token(reader)})).status_code == 403
        assert (await operator.post(url, data=form)).status_code == 403
        assert (await operator.post(url, data={**form, "csrf": others})).status_code == 403
        foreign = {"origin": "http://evil.example"}
        assert (await operator.post(url, data={**form, "csrf": mine}, headers=foreign)).status_code == 403
        crossing = {"sec-fetch-site": "cross-site"}
        assert (await operator.post(url, data={**form, "csrf": mine}, headers=crossing)).status_code == 403
        assert (await operator.post(url, data={**form, "csrf": mine})).status_code in (303, 404, 409, 410, 422)


async def test_a_key_without_the_scope_content_sees_no_word_of_people_or_models(door):
    async with signed_in(door, door.key("read")) as client:
        for path in SHOWN:
            text = (await client.get(f"/console{path}")).text
            assert "Hello &lt;img" not in text, path
            assert "Fine. &lt;img" not in text, path
        assert (await client.get("/console/topics/interactions?contains=Hello")).status_code == 403


async def test_a_key_that_is_revoked_ends_its_sessions(door):
    from endocrine.pipeline.gateway.app import key_file
    from endocrine.pipeline.gateway.keys import revoke

    secret = door.key("read", name="leaving")
    async with signed_in(door, secret) as client:
        assert (await client.get("/console/turns")).status_code == 200
        revoke(key_file(door.settings, door.gateway.limits), "leaving")
        door.gateway.doorkeeper._keys._looked = 0.0
        assert (await client.get("/console/turns")).status_code == 303


async def test_a_key_of_one_identity_opens_no_console(door):
    secret = door.key("read", identity="fixed", fixed_identity="ann")
    async with signed_in(door, secret) as client:
        assert (await client.get("/console/turns")).status_code == 403


async def test_every_answer_says_that_nothing_from_elsewhere_runs(door):
    async with signed_in(door, door.secret) as client:
        for path in (*SHOWN, "/nowhere", "/static/console.js", "/sign-in"):
            answer = await client.get(f"/console{path}")
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy, path
            assert "unsafe" not in policy
        assert (await client.get("/console/static/../app.py")).status_code == 404


async def test_a_wrong_expression_is_answered_on_the_page_with_its_place_and_stays_in_its_field(visit):
    async with visit() as one:
        await one.go("/topics/interactions")
        await one.page.get_by_label("Where").fill("value.kind ==")
        await one.page.get_by_role("button", name="Read").click()
        assert "column 14" in await one.page.get_by_role("alert").inner_text()
        assert await one.page.get_by_label("Where").input_value() == "value.kind =="
        await one.page.get_by_label("Where").fill("value.kind == 'closed'")
        await one.page.get_by_role("button", name="Read").click()
        texts = await one.page.locator("article pre").all_inner_texts()
        assert texts
        assert all('"kind": "closed"' in text for text in texts)
        assert one.complaints == []


async def test_a_batch_leads_to_what_it_read_and_a_topic_leaves_as_a_file(visit):
    async with visit() as one:
        await one.go("/topics/modulations")
        await one.page.get_by_role("link", name="decided in batch").first.click()
        await one.page.get_by_role("link", name="read interactions").first.click()
        assert await one.page.locator("article").count() >= 1
        async with one.page.expect_download() as waiting:
            await one.page.get_by_role("link", name="Export as JSON lines").click()
        lines = (await (await waiting.value).path()).read_text().splitlines()
        assert all(line.startswith('{"topic":"interactions"') for line in lines)
