"""The console in Debian's Chromium, on a worker, a projection and a gateway that really run."""

import contextlib
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

import shared_broker
from endocrine.pipeline.console.app import routes
from endocrine.pipeline.process.settings import Settings
from gateway_serving import Door, forget, served, stack
from waiting import until_answer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--no-sandbox"]  # fmt: skip
USED = {"input_tokens": 1000, "output_tokens": 500}
HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>{{7*7}}'


@pytest.fixture(scope="module")
def console_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Topics, a group, a Redis database and a folder of this file alone."""
    bootstrap, redis_url, *_ = shared_broker.addresses()
    prefix = f"t{uuid.uuid4().hex[:8]}."
    return Settings(bootstrap=bootstrap, redis_url=redis_url, redis_db=12, prefix=prefix, group=prefix + "group",
                    data_dir=tmp_path_factory.mktemp("console"), partitions=2)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(console_settings: Settings) -> AsyncIterator[Door]:
    """A gateway with the console, and some life behind it: turns in every mode, a denied call, a dead letter."""
    async with stack(console_settings), served(console_settings, more=routes) as door:
        await live_a_little(door)
        yield door
    await forget(console_settings)


async def live_a_little(door: Door) -> None:
    """Open and close turns of three people; wait until the read models have them."""
    async with door.client() as client:
        for who in ("ann", "bob", HOSTILE):
            for level in (None, 0.8):
                signals = [] if level is None else [{"name": "alignment_risk", "level": level}]
                body = {"identity": who, "prompt": f"Hello {HOSTILE}", "project": "shop", "signals": signals}
                opened = (await client.post("/v1/turns", json=body)).json()
                call = {"identity": who, "audit_id": opened["audit_id"], "step": 1, "call_id": uuid.uuid4().hex}
                await client.post("/v1/tool-calls", json=call | {"tool": "exec_code", "arguments": {"code": HOSTILE}})
                closing = {"identity": who, "response": f"Fine. {HOSTILE}", "usage": USED}
                await client.post(f"/v1/turns/{opened['audit_id']}/close", json=closing)
        await client.post("/v1/commands/cap", json={"identity": "ann", "cap": 40, "id": uuid.uuid4().hex})

        async def settled() -> Any:
            return (await client.get(f"/v1/audits/{opened['audit_id']}")).status_code

        await until_answer(settled, lambda status: status == 200)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """The browser."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine; Debian: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


def _complaint(message: Any) -> str:
    """What the browser's console says, and of which address."""
    return f"{message.type}: {message.text} ({message.location.get('url', '')})"


SHIFTS = """
  window.shifts = [];
  const note = (list) => { for (const one of list) if (!one.hadRecentInput) window.shifts.push(
    [one.value, ...one.sources.map((source) => source.node?.parentElement?.outerHTML.slice(0, 120) ?? "?")]); };
  const watching = new PerformanceObserver((list) => note(list.getEntries()));
  watching.observe({ type: "layout-shift", buffered: true });
  window.allShifts = () => { note(watching.takeRecords()); return window.shifts; };
"""
"""Collects every shift of the layout that nobody's input caused, from the first paint on."""
SETTLED = """async () => {
  await document.fonts.ready;
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
  return window.allShifts();
}"""


class Visit:
    """A page of one browser context, and what it complained of."""

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context, self.page, self.url = context, page, url
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(_complaint(message)))
        self.elsewhere: list[str] = []
        """Addresses of other servers that the page asked for."""
        page.on("request", lambda request: request.url.startswith(url) or self.elsewhere.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", self._dialog)

    def _dialog(self, dialog: Any) -> None:
        self.complaints.append(f"dialog: {dialog.message}")

    async def sign_in(self, secret: str) -> None:
        """Sign in with a key."""
        await self.page.goto(f"{self.url}/console/sign-in")
        await self.page.get_by_label("API key").fill(secret)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.get_by_role("heading", name="Overview").wait_for()

    async def shifts(self) -> list[Any]:
        """Return every shift of the layout of the page that is open: its size, and what moved."""
        found: list[Any] = await self.page.evaluate(SETTLED)
        return found

    async def go(self, path: str) -> Any:
        """Open a page of the console."""
        return await self.page.goto(f"{self.url}/console{path}")


@pytest.fixture
def visit(door: Door, chromium: Browser) -> Any:
    """Open a browser: `async with visit(width=390, dark=True) as one`; signed in unless `secret` is empty."""

    @contextlib.asynccontextmanager
    async def opened(*, width: int = 1280, dark: bool = False, secret: str | None = None) -> AsyncIterator[Visit]:
        context = await chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", locale="en-GB"
        )
        context.set_default_timeout(120_000)  # of a machine that is busy with other tests
        await context.add_init_script(SHIFTS)
        try:
            one = Visit(context, await context.new_page(), door.url)
            if secret != "":
                await one.sign_in(door.secret if secret is None else secret)
            yield one
        finally:
            await context.close()

    return opened


@pytest.fixture
def pictures(request: pytest.FixtureRequest) -> Path | None:
    """The folder for pictures, where one is asked for: `ENDOCRINE_TEST_PICTURES`."""
    import os

    named = os.environ.get("ENDOCRINE_TEST_PICTURES")
    return Path(named) if named else None
