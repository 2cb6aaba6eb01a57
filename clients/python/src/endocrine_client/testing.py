"""A gateway for an application's own tests: in process, under the real client.

gateway = FakeGateway(deny={"exec_code": "disabled_by_flag"})
async with gateway.client() as endocrine:
    await my_program(endocrine)
assert gateway.records("/v1/feedback")[0]["rating"] == 5
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

import httpx

from endocrine_client.client import Endocrine
from endocrine_client.parameters import STRICT, Parameters
from endocrine_client.sync_client import SyncEndocrine

Json = dict[str, Any]
BALANCED = replace(STRICT, temperature=0.6, top_p=0.9, max_output_tokens=900, safety_mode="balanced")
KNOWLEDGE: Json = {
    "name": "retrieve_knowledge",
    "description": "Look something up.",
    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
}


class FakeGateway:
    """Answers as the gateway does, without deciding anything itself.

    deny: reasons by function name; its denial makes the turn strict, as a real one does. pending: functions that wait
    for a person. refuse: why turns are refused (`rate_limited`, `budget_exceeded`, `held`). away: nothing answers;
    may be changed at any time. What is sent twice under one `Idempotency-Key` is recorded once.
    """

    def __init__(
        self,
        *,
        parameters: Parameters = BALANCED,
        functions: Iterable[Mapping[str, Any]] = (KNOWLEDGE,),
        deny: Mapping[str, str] | None = None,
        pending: Collection[str] = (),
        refuse: str | None = None,
    ) -> None:
        self.parameters, self.functions = parameters, [dict(one) for one in functions]
        self.deny, self.pending, self.refuse = dict(deny or {}), set(pending), refuse
        self.away = False
        self._records: dict[str, tuple[str, Json]] = {}

    def client(self, **settings: Any) -> Endocrine:
        """An async client of this gateway; its spool is in memory."""
        return Endocrine(**self._settings(settings))

    def sync_client(self, **settings: Any) -> SyncEndocrine:
        """A blocking client of this gateway."""
        return SyncEndocrine(**self._settings(settings))

    def records(self, path: str) -> list[Json]:
        """What was recorded at a path (`/v1/turns`, `/v1/tool-calls`, `/v1/feedback`, ...), in order of arrival.

        `/v1/turns/{id}/close` counts as `close`.
        """
        return [value for at, value in self._records.values() if at == path]

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request, as `httpx.MockTransport` takes it."""
        if self.away:
            raise httpx.ConnectError("the gateway is away", request=request)
        value: Json = json.loads(request.content)
        path = request.url.path
        key = request.headers["idempotency-key"]
        self._records.setdefault(key, ("close" if path.endswith("/close") else path, value))
        if path == "/v1/turns":
            return self._opened(value)
        if path == "/v1/tool-calls":
            return self._decided(value)
        return httpx.Response(202, json={"id": f"door-{key[:8]}", "place": f"{path.rsplit('/', 1)[-1]}/0/0"})

    def _opened(self, value: Json) -> httpx.Response:
        modulation = self._modulation(value["audit_id"], value["identity"], 0, self.parameters)
        if self.refuse is None:
            return httpx.Response(201, json=modulation)
        modulation |= {"admitted": False, "refusal": self.refuse, "functions": []}
        if self.refuse == "held":
            return httpx.Response(202, json=modulation)
        limits = ("rate_limited", "budget_exceeded")
        kind, status = (self.refuse, 429) if self.refuse in limits else ("refused", 403)
        return _problem(kind, status, turn=modulation)

    def _decided(self, call: Json) -> httpx.Response:
        function = call["tool"]
        named = {name: call[name] for name in ("call_id", "audit_id", "identity")}
        decision: Json = named | {"function": function, "tool": function, "decision": "allowed", "reason": None,
                                  "revision": 0, "modulation": None}  # fmt: skip
        offered = {one["name"] for one in self.functions}
        reason = self.deny.get(function) or (None if function in offered else "unknown_tool")
        if reason is not None:
            strict = replace(self.parameters, safety_mode="strict")
            revised = self._modulation(call["audit_id"], call["identity"], 1, strict)
            decision |= {"decision": "denied", "reason": reason, "revision": 1, "modulation": revised}
            return _problem("tool_denied", 403, **decision)
        if function in self.pending:
            return httpx.Response(202, json=decision | {"decision": "pending", "reason": "approval_required"})
        return httpx.Response(200, json=decision)

    def _modulation(self, audit_id: str, identity: str, revision: int, parameters: Parameters) -> Json:
        mode = parameters.safety_mode
        return {"audit_id": audit_id, "identity": identity, "revision": revision, "admitted": True, "refusal": None,
                "review": "none", "mode": mode, "parameters": asdict(parameters), "prompt_style": mode,
                "functions": [one for one in self.functions if one["name"] not in self.deny]}  # fmt: skip

    def _settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        quick = {"spool": False, "open_s": 1.0, "decision_s": 1.0, "close_s": 1.0}
        return {"url": "http://gateway.test", "transport": httpx.MockTransport(self.handle)} | quick | settings


def _problem(kind: str, status: int, **more: Any) -> httpx.Response:
    document = {"type": f"/problems/{kind}", "title": kind, "status": status, "detail": kind, **more}
    return httpx.Response(status, json=document, headers={"content-type": "application/problem+json"})
