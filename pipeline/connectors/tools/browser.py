"""The browser: opens one address and gives back its text."""

import asyncio

from endocrine.pipeline.connectors.tools.fetch import Fetcher
from endocrine.pipeline.connectors.tools.handler import Answer, Call
from endocrine.pipeline.connectors.tools.page import text_of

MAX_CHARS = 200_000
"""Characters of text kept of a page, before it is redacted and cut further."""


class Browser:
    """Fetches and reads; runs no scripts, keeps no cookies, follows no links."""

    def __init__(self, fetcher: Fetcher | None = None) -> None:
        self._fetcher = fetcher or Fetcher()

    async def run(self, call: Call) -> Answer:
        """Return `{url, text}`; url after redirects, without query. Raises ToolError, TimeoutError."""
        page = await self._fetcher.fetch(call.arguments["url"])
        text = page.text
        if page.media_type in ("text/html", "application/xhtml+xml"):
            text = await asyncio.to_thread(text_of, page.text)
        return Answer({"url": page.url.partition("?")[0], "text": text[:MAX_CHARS]})

    async def close(self) -> None:
        """Do nothing: nothing is held."""
