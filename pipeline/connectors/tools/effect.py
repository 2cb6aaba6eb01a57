"""Running allowed tool calls as effects: a decision in, one result out (architecture, section 6).

Run is the call on record that the decision names by its function and the digest of its arguments, and no other record
of the same id. Not run, but answered with status error, logged and counted: what was decided longer ago than the
deadline, whose call is not on record, whose tool the policy does not have or has switched off, whose arguments do not
fit the tool's schema. The gate looked at all of it before; what runs tools checks again.
"""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from endocrine.agents._shared.arguments import judged_arguments
from endocrine.agents._shared.summaries import summary_of
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.connectors.contract import INTERRUPTED, EffectRecord, Request
from endocrine.pipeline.connectors.tools.calls import CallKey, Calls, Found
from endocrine.pipeline.connectors.tools.handler import Answer, Call, Degraded, Handler, ToolError
from endocrine.pipeline.connectors.tools.registry import unhandled
from endocrine.pipeline.connectors.tools.results import shown, shown_error
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.pipeline.process.logs import fault
from endocrine.pipeline.process.settings import MIB
from endocrine.pipeline.views.metrics.registry import Metrics
from endocrine.schemas.tools import ToolCall

_MAX_ID_CHARS = 200
ORIGIN_S = 600.0
"""Seconds from the record that a decision was made because of to the decision, at most; with the times by which waits
are exceeded well within `readback.MARGIN_MS`."""
_REST_BYTES = 32 << 10
"""Room in a result besides its output: three ids, identity, tool, summary, as JSON at its longest."""
log = structlog.get_logger(__name__)


class NotRun(ToolError):
    """An allowed call that is not run, because it is not what was decided, or not any more."""


class ToolEffect:
    """An `Effect`.

    max_record_bytes: the longest result that is read (`Settings.max_record_bytes`); outputs are cut below it.

    deadline_s: a decision older than this, by the broker's clock, is not acted upon. decision_s: nor one that came
    longer after its call, as from a gate that was down: who asked has given up. One that waited for a person may.
    """

    name = "tools"
    requests = "tool-decisions"
    answers = "tool-results"

    def __init__(
        self,
        policy: Policy,
        handlers: Mapping[str, Handler],
        calls: Calls,
        settings: ToolSettings,
        *,
        deadline_s: float,
        decision_s: float,
        max_record_bytes: int = MIB,
        metrics: Metrics | None = None,
    ) -> None:
        self._policy = policy
        self._handlers = handlers
        self._calls = calls
        self._settings = settings
        self._most_bytes = max(1024, max_record_bytes - _REST_BYTES)
        self._deadline_s = deadline_s
        self._decision_s = decision_s
        self._metrics = metrics

    async def follow(self, policy: Policy) -> None:
        """Run what is decided from now on by another policy. Its deadlines stay those of the start."""
        self._policy = policy

    def request_id(self, value: dict[str, Any]) -> str | None:
        """Return the call's, of an allowed decision on a tool of ours; every other asks for nothing."""
        ours = value["tool"] is not None and value.get("runner") is None
        return call_name(value) if value["decision"] == "allowed" and ours else None

    def answer_id(self, value: dict[str, Any]) -> str | None:
        """Return the call that a result is about, whoever gave it."""
        if not all(isinstance(value.get(name), str) for name in ("audit_id", "call_id")):
            return None
        return call_name(value)

    def repeatable(self, value: dict[str, Any]) -> bool:
        """Return what the registry says; a tool it does not know is never run, so it needs no mark."""
        spec = self._policy.of(value["identity"]).document.tools.root.get(value["tool"])
        return spec is None or spec.idempotent

    async def run(self, request: Request) -> Sequence[EffectRecord]:
        """Yield the handler's records, and the result; nothing where the call is an application's own to run."""
        decision, began = request.value, time.monotonic()
        key = CallKey.of_decision(decision)
        found = None if key is None else await self._calls.find(request.partition, key)
        if found is not None and self._settings.calls == "conversation" and found.source != "endocrine/conversation":
            return ()
        try:
            if found is None:
                raise NotRun("no call on record is the one that was decided: not run")
            call = self._checked(decision, found.call)
            self._in_time(request, found)
            await self._is_no_copy(request)
            answer = await self._handled(call)
            # In a thread: a megabyte of small entries takes a second, in which other calls and the broker are heard.
            output = await asyncio.to_thread(self._shown, answer.output)
        except ToolError as error:
            if isinstance(error, NotRun):
                self._refused(decision, error)
            failure: dict[str, Any] = {"error": str(error)}
            if isinstance(error, Degraded):
                failure["degraded"] = True
            return [self._result(request, "error", self._shown_error(failure), began)]
        except TimeoutError:
            return [self._result(request, "timeout", {"error": "the tool did not answer in time"}, began)]
        return [*answer.records, self._result(request, "ok", output, began)]

    def failed(self, request: Request, error: str) -> Sequence[EffectRecord]:
        """Return a result that names the fault's kind alone: its text may hold what nobody should see."""
        kind = error if error == INTERRUPTED else error.partition(":")[0]
        return [self._result(request, "error", self._shown_error({"error": kind}), None)]

    async def close(self) -> None:
        """Give back what handlers and calls hold."""
        for handler in self._handlers.values():
            await handler.close()
        await self._calls.close()

    def _checked(self, decision: Mapping[str, Any], found: ToolCall) -> Call:
        document = self._policy.of(decision["identity"]).document
        registry = document.tools
        tool = registry.by_function.get(found.tool)
        if found.tool != decision["function"] or tool is None or tool != decision["tool"]:
            raise NotRun("the call on record names another tool than the decision: not run")
        spec = registry.root[tool]
        if spec.flag is not None and not document.flags.on(spec.flag):
            raise NotRun(f"{tool} is disabled in this deployment: flag {spec.flag} is off")
        arguments, digest = judged_arguments(found.arguments, document.gating)
        if arguments is None or digest != decision["arguments_digest"]:
            raise NotRun("the arguments on record are not those that were decided: not run")
        if not registry.validators[tool].is_valid(arguments):
            raise NotRun("the arguments on record do not fit the tool: not run")
        return Call(
            call_id=found.call_id,
            audit_id=found.audit_id,
            identity=decision["identity"],
            tool=tool,
            arguments=arguments,
            idempotent=spec.idempotent,
            timeout_s=spec.timeout_s,
            ts=found.ts,
        )

    def _in_time(self, request: Request, found: Found) -> None:
        age = request.ts_now() - request.value["ts"]
        if age > self._deadline_s:
            raise NotRun(f"decided {age:.0f} s ago, more than {self._deadline_s:.0f}: not run")
        took = time.time() - age - found.appended
        waited_for_a_person = request.value["ts"] != found.call.ts
        if took > self._decision_s and not waited_for_a_person:
            raise NotRun(f"decided {took:.0f} s after it was asked, more than {self._decision_s:.0f}: not run")

    async def _is_no_copy(self, request: Request) -> None:
        """A sealed decision keeps its seal when somebody appends it again, and a call can be appended again as well.

        What was answered is kept for as long as `readback` reaches; so what a decision was made because of (its
        call, an approval) must not be older than that. The broker's own times say so: no claimed one does.
        """
        if request.origin is None:
            return
        appended = time.time() - request.ts_now() + request.value["ts"]
        if not await self._calls.is_recent(*request.origin, appended - ORIGIN_S):
            raise NotRun("decided because of a record of long ago, as a decision that is appended again is: not run")

    def _refused(self, decision: Mapping[str, Any], error: NotRun) -> None:
        log.warning(
            "an allowed call was not run", audit_id=decision["audit_id"], call_id=decision["call_id"], reason=str(error)
        )
        if self._metrics is not None:
            self._metrics.add("endocrine_tool_calls_not_run_total", tool=decision["tool"])

    async def _handled(self, call: Call) -> Answer:
        connector = self._policy.of(call.identity).document.tools.root[call.tool].connector
        handler = self._handlers.get(connector) or unhandled(connector)
        try:
            async with asyncio.timeout(call.timeout_s):
                return await handler.run(call)
        except (ToolError, TimeoutError):
            raise
        except Exception as error:
            # Without its text: that may repeat what it was called with.
            log.error("a tool handler failed", connector=connector, call_id=call.call_id, error=fault(error))
            raise ToolError(f"the tool failed ({type(error).__name__})") from None

    def _shown(self, output: Any) -> Any:
        return shown(output, self._policy.document.gating, self._settings.output_chars, self._most_bytes)

    def _shown_error(self, output: Any) -> Any:
        return shown_error(output, self._policy.document.gating, self._settings.output_chars, self._most_bytes)

    def _result(self, request: Request, status: str, output: Any, began: float | None) -> EffectRecord:
        decision = request.value
        key = CallKey.of_decision(decision)
        found = None if key is None else self._calls.known(key)
        result = {
            "call_id": decision["call_id"],
            "audit_id": decision["audit_id"],
            "identity": decision["identity"],
            "tool": decision["tool"],
            "status": status,
            "duration_ms": 0.0 if began is None else round((time.monotonic() - began) * 1000, 3),
            "args_summary": summary_of(found.call, self._policy) if found else "",
            "output": output,
            "ts": request.ts_now(),
        }
        return EffectRecord("tool-results", result)


def call_name(value: Mapping[str, Any]) -> str:
    """Return the id of the effect of a call: two turns may use one call id."""
    name = f"{value['audit_id']}/{value['call_id']}"
    return name if len(name) <= _MAX_ID_CHARS else hashlib.sha256(name.encode()).hexdigest()
