"""What both clients are made of: settings, the spool with its thread, and what a capture holds."""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx

from endocrine_client.delivery import Counts, Delivery, post
from endocrine_client.protocol import request
from endocrine_client.spool import MOST_BYTES, Spool, default_path
from endocrine_client.transport import Transport
from endocrine_client.turn import TurnState, card

SpoolAt = Path | str | Literal[False] | None
_NO_GATEWAY = "http://endocrine.invalid"
"""Base of requests that another transport answers; nothing connects to it."""


class Core:
    """Settings and captures.

    url: the gateway's; without one `ENDOCRINE_URL`, else `http://127.0.0.1:8080`. key: an API key with the scope
    capture; without one `ENDOCRINE_API_KEY`. spool: the file that captures wait in; None: a file of this gateway and
    key below `$XDG_STATE_HOME/endocrine`; False: memory. spool_bytes: its bound. open_s: seconds that opening a turn
    may take; decision_s: a decision; close_s: sending what is left at the end. transport: a `KafkaTransport`
    (`endocrine_client.kafka`), which needs no gateway, so that `url` and `key` say nothing; of httpx, for tests.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        spool: SpoolAt = None,
        spool_bytes: int = MOST_BYTES,
        open_s: float = 3.0,
        decision_s: float = 10.0,
        close_s: float = 5.0,
        transport: Transport | httpx.MockTransport | None = None,
    ) -> None:
        elsewhere = transport.name if isinstance(transport, Transport) else None
        named = url or os.environ.get("ENDOCRINE_URL") or "http://127.0.0.1:8080"
        self.url = named if elsewhere is None else _NO_GATEWAY
        key = key or os.environ.get("ENDOCRINE_API_KEY") or None
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._open_s, self._decision_s, self._close_s = open_s, decision_s, close_s
        self._transport = transport
        path = None if spool is False else Path(spool) if spool else default_path(elsewhere or self.url, key)
        self._sender = httpx.Client(base_url=self.url, headers=self._headers, transport=transport)
        self._delivery = Delivery(Spool(path, spool_bytes), lambda record, s: post(self._sender, record, s))

    @property
    def counts(self) -> Counts:
        """What became of captures, in this process."""
        return self._delivery.counts

    def _record(self, audit_id: str, opened: Mapping[str, Any], closed: Mapping[str, Any]) -> bool:
        """Keep a turn that is over, under ids that follow from its own: recorded twice, it is one turn."""
        path = f"/v1/turns/{quote(audit_id, safe='')}/close"
        opening = {"session_id": audit_id, "turn": 0, **opened, "audit_id": audit_id}
        kept = self._delivery.capture("/v1/turns", lambda: request("/v1/turns", opening, f"{audit_id}-opened"))
        closing = {"identity": opened.get("identity"), **closed}
        return self._delivery.capture("close", lambda: request(path, closing, f"{audit_id}-closed")) and kept

    def _end(self) -> None:
        self._delivery.close(self._close_s)
        self._sender.close()

    def _rate(self, turn: TurnState | str, rating: int, identity: str | None, note: str | None, tags: Any) -> bool:
        return self._delivery.capture("/v1/feedback", lambda: card(turn, rating, identity, note, tags))

    def _signal(
        self, identity: str, name: str, level: float, ttl_ms: int | None, source: str | None, turn: TurnState | None
    ) -> bool:
        value: dict[str, Any] = {"identity": identity, "name": name, "level": level, "ttl_ms": ttl_ms, "source": source,
                 "audit_id": turn.audit_id if turn else None, "ts": time.time()}  # fmt: skip
        return self._capture("/v1/signals", value)

    def _capture(self, path: str, fields: Mapping[str, Any]) -> bool:
        """Keep a record as it is given, with the time of its capture where it names none. Never raises."""
        now = time.time()
        return self._delivery.capture(path, lambda: request(path, {"ts": now, **fields}))


def opening(
    identity: str,
    prompt: str,
    session_id: str | None,
    turn: int | None,
    signals: Mapping[str, float] | Iterable[Mapping[str, Any]] | None,
    project: str | None,
    model: str | None,
    context_pack: str | None,
    application_tools: Iterable[Mapping[str, Any]] | None,
    audit_id: str | None,
) -> dict[str, Any]:
    """The fields of an opening."""
    return {"identity": identity, "prompt": prompt, "session_id": session_id, "turn": turn, "signals": signals,
            "project": project, "model": model, "context_pack": context_pack, "application_tools": application_tools,
            "audit_id": audit_id}  # fmt: skip
