"""Which records of a topic are kept: by key, text, field and expression, of what their reader may see."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson

from endocrine.pipeline.console.browsing.expression import Expression
from endocrine.pipeline.console.browsing.query import Browse
from endocrine.pipeline.console.browsing.shown import shown_record
from endocrine.pipeline.gateway.callers import Caller


class Filter:
    """Keeps the records that fit a query. caller: a field that it may not see fits nothing."""

    def __init__(self, caller: Caller, browse: Browse, expression: Expression | None) -> None:
        self._caller, self._browse, self.expression = caller, browse, expression
        self._key = None if browse.key is None else browse.key.encode()
        self._text = None if browse.contains is None else browse.contains.encode()

    async def kept(self, records: Sequence[Any]) -> Sequence[Any]:
        """Return those that fit. Raises Problem, 422, where the expression is wrong."""
        found = [raw for raw in records if self._fits(raw)]
        if self.expression is None or not found:
            return found
        contexts = [shown_record(self._caller, self._browse.topic, raw).context for raw in found]
        return [raw for raw, true in zip(found, await self.expression.true_of(contexts), strict=True) if true]

    def _fits(self, raw: Any) -> bool:
        if self._key is not None and raw.key != self._key:
            return False
        if self._text is not None and self._text not in (raw.value or b""):
            return False
        if self._browse.field is None:
            return True
        shown = shown_record(self._caller, self._browse.topic, raw)
        return shown.is_json and field_fits(shown.value, self._browse.field, self._browse.equals)


@asynccontextmanager
async def filter_of(caller: Caller, browse: Browse) -> AsyncGenerator[Filter, None]:
    """Yield the filter of a query. Raises Problem, 422, that names the place of a mistake in its expression."""
    if browse.where is None:
        yield Filter(caller, browse, None)
        return
    async with Expression(browse.where) as expression:
        yield Filter(caller, browse, expression)


def field_fits(value: Any, path: str, text: str | None) -> bool:
    """Return whether a field is there and is what the text says: of a list, any of its entries.

    >>> value = {"mode": "strict", "params": {"temperature": 0.5}, "tools": ["search"], "ok": True}
    >>> field_fits(value, "mode", "strict"), field_fits(value, "params.temperature", "0.5")
    (True, True)
    >>> field_fits(value, "tools", "search"), field_fits(value, "ok", "true"), field_fits(value, "none", None)
    (True, True, False)
    """
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return text is None or any(_text(one) == text for one in (value if isinstance(value, list) else [value]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
