"""A call to a model as an effect: tries within the deadline, then one reply, whatever happened."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson
import structlog

from endocrine.agents.conversation.capabilities import ModelRules
from endocrine.agents.conversation.images import images_in
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.connectors.contract import EffectRecord, Request
from endocrine.pipeline.connectors.model.account import Account, cost
from endocrine.pipeline.connectors.model.ask import ask
from endocrine.pipeline.connectors.model.breaker import Breaker
from endocrine.pipeline.connectors.model.chunks import Chunks
from endocrine.pipeline.connectors.model.failures import Failed
from endocrine.pipeline.connectors.model.images import ImageReader
from endocrine.pipeline.connectors.model.outcome import Outcome
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.connectors.model.transport import Transport
from endocrine.pipeline.connectors.model.wire import NO_IMAGES, Urls, call_id
from endocrine.pipeline.views.metrics.registry import Metrics

log = structlog.get_logger(__name__)
_LEAST_S = 0.05
"""A try with less time than this is not made."""


class ModelEffect:
    """`model-requests` to `model-replies`. One breaker: one connector calls one provider.

    record_bytes: most bytes of a reply's record, where that is less than `models.bounds.record_bytes`. images: reads
    the images that requests name; without it, a request with one fails. sleep, jitter: passed in by tests; jitter gives
    0 to 1.
    """

    name = "model"
    requests = "model-requests"
    answers = "model-replies"

    def __init__(
        self,
        settings: ModelSettings,
        rules: ModelRules,
        *,
        record_bytes: int | None = None,
        images: ImageReader | None = None,
        metrics: Metrics | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.account = Account()
        self._metrics = metrics
        self.breaker = Breaker(settings.breaker_failures, settings.breaker_rest_s)
        self._settings = settings
        self._rules_of: Callable[[str], ModelRules] = lambda identity: rules
        self._record_bytes = record_bytes
        self._images = images
        self._transport = Transport(settings)
        self._sleep = sleep
        self._jitter = jitter

    async def follow(self, policy: Policy) -> None:
        """Ask from now on by another policy: what each model takes, and the bounds of replies."""
        self._rules_of = lambda identity: policy.of(identity).document.models

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    def request_id(self, value: dict[str, Any]) -> str | None:
        """Return the id of the request: every request is an effect."""
        return str(value["request_id"])

    def answer_id(self, value: dict[str, Any]) -> str | None:
        """Return the id of the request that a reply answers."""
        return value.get("request_id")

    def repeatable(self, value: dict[str, Any]) -> bool:
        """Return True: asking again costs money and harms nothing; where a reply is on record it is not done."""
        return True

    def failed(self, request: Request, error: str) -> Sequence[EffectRecord]:
        """Return the reply where something of ours broke."""
        return [self._reply(request, "error", None, error)]

    async def run(self, request: Request) -> Sequence[EffectRecord]:
        """Ask until there is a reply, a final refusal, or no time left."""
        value = request.value
        deadline = request.taken_at + value["deadline_ms"] / 1000 - request.age_s
        tries, outcome, error = 0, None, ""
        chunks = self._chunks(request)
        status = "timeout"
        images: Urls = NO_IMAGES
        try:
            if (blocks := images_in(value["messages"])) and deadline - time.monotonic() >= _LEAST_S:
                images = await self._images_of(blocks, value["identity"], deadline - time.monotonic())
        except Failed as failure:
            self._count(failure.kind)
            return [self._reply(request, failure.status, None, str(failure))]
        if deadline - time.monotonic() < _LEAST_S:
            error = f"timeout: read {request.age_s:.1f} s after it was asked, past its deadline: not asked"
        while deadline - time.monotonic() >= _LEAST_S:
            if not self.breaker.admit():
                status = "error"
                last = f" (last: {error})" if error else ""
                rest_s = self.breaker.wait_s()
                error = f"breaker_open: the provider failed again and again; it is left alone for {rest_s:.0f} s{last}"
                break
            tries += 1
            try:
                outcome = await self._try(value, deadline - time.monotonic(), chunks, images)
                status, error = _status(outcome)
                break
            except Failed as failure:
                status, error = failure.status, str(failure)
                if not failure.retry or (chunks is not None and chunks.begun) or tries >= self._settings.tries:
                    break
                pause = self._pause(tries, failure.after_s)
                if time.monotonic() + pause >= deadline - _LEAST_S:
                    error = f"{error}; another try in {pause:.1f} s would be past the deadline"
                    break
                log.info("trying again", request=value["request_id"], tried=tries, pause_s=round(pause, 2), why=error)
                await self._sleep(pause)
        if tries > 1 and outcome is None:
            error = f"{error} (after {tries} tries)"
        return [self._reply(request, status, outcome, error or None, tries)]

    async def _images_of(self, blocks: Sequence[dict[str, Any]], identity: str, within_s: float) -> Urls:
        """What the model is sent of a request's images, by digest. Raises Failed."""
        if self._images is None:
            raise Failed("image_unread", "this connector reads no images", retry=False, provider=False)
        return await self._images.urls(blocks, identity, within_s)

    def _chunks(self, request: Request) -> Chunks | None:
        """Where the text of a windowed reply goes while it comes; None: nowhere."""
        value, emit = request.value, request.emit
        if value.get("stream") != "windowed" or emit is None:
            return None

        async def send(seq: int, text: str) -> None:
            chunk = {name: value[name] for name in ("request_id", "audit_id", "identity")}
            await emit(
                EffectRecord("model-chunks", chunk | {"seq": seq, "text": text, "ts": request.ts_now()}), f"chunk-{seq}"
            )

        return Chunks(send)

    async def _try(
        self, value: dict[str, Any], within_s: float, chunks: Chunks | None, images: Urls = NO_IMAGES
    ) -> Outcome:
        """One call; the breaker hears how it went."""
        rules = self._rules_of(value["identity"])
        entry, bounds = rules.of(value["model"]), rules.bounds
        api = rules.api_of(value["model"]) if self._settings.api == "auto" else self._settings.api
        try:
            outcome = await ask(
                self._transport,
                self._settings,
                value,
                api=api,
                takes=entry,
                bounds=bounds,
                within_s=within_s,
                chunks=chunks,
                images=images,
            )
        except Failed as failure:
            (self.breaker.failed if failure.provider else self.breaker.gave_up)()
            self._count(failure.kind)
            raise
        except BaseException:
            self.breaker.gave_up()
            raise
        self.breaker.succeeded()
        self._count(None)
        return outcome

    def _count(self, failure: str | None) -> None:
        """Count a try that failed, and set the breaker's state. 429 is counted apart from other statuses."""
        if self._metrics is None:
            return
        if failure is not None:
            status = failure.removeprefix("http_")
            apart = failure == "http_429" or status == failure or not status.isdigit()
            self._metrics.add("endocrine_model_failed_tries_total", error=failure if apart else f"http_{status[0]}xx")
        self._metrics.add("endocrine_model_breaker_open", self.breaker.open)

    def _pause(self, tries: int, after_s: float | None) -> float:
        """Twice as long each time, less a random part; never shorter than what the provider asked for."""
        settings = self._settings
        own: float = min(settings.backoff_most_s, settings.backoff_s * 2.0 ** (tries - 1)) * (
            0.5 + 0.5 * self._jitter()
        )
        return own if after_s is None else after_s + 0.25 * own

    def _reply(
        self, request: Request, status: str, outcome: Outcome | None, error: str | None, tries: int = 0
    ) -> EffectRecord:
        value = request.value
        rules = self._rules_of(value["identity"])
        entry = rules.of(value["model"])
        latency_ms = round((time.monotonic() - request.taken_at) * 1000, 3)
        usage, calls, paid = None, [], None
        if outcome is not None:
            if outcome.input_tokens is not None and outcome.output_tokens is not None:
                usage = {"input_tokens": outcome.input_tokens, "output_tokens": outcome.output_tokens}
            # What was refused is not acted on.
            for ordinal, (tool, arguments) in enumerate(outcome.calls if status == "ok" else ()):
                calls.append({"call_id": call_id(value["request_id"], ordinal), "tool": tool, "arguments": arguments})
            paid = cost(entry.price, outcome)
        self.account.add(value["model"], status, tries, latency_ms, outcome, paid)
        log.info(
            "replied",
            request=value["request_id"],
            model=value["model"],
            status=status,
            tries=tries,
            latency_ms=latency_ms,
            usage=usage,
            cached_tokens=outcome.cached_tokens if outcome else 0,
            dollars=paid,
            error=error,
        )
        reply = {
            "request_id": value["request_id"],
            "audit_id": value["audit_id"],
            "identity": value["identity"],
            "step": value["step"],
            "status": status,
            "content": None if outcome is None or status == "error" else outcome.refusal or outcome.content,
            "tool_calls": calls,
            "finish_reason": None if outcome is None else outcome.finish_reason,
            "usage": usage,
            "model": (outcome.model if outcome and outcome.model else value["model"]),
            "latency_ms": latency_ms,
            "error": error,
            "reasoning_chars": outcome.reasoning_chars if outcome and outcome.reasoning_chars else None,
            "ts": request.ts_now(),
        }
        return EffectRecord(self.answers, self._bounded(reply, rules.bounds.record_bytes))

    def _bounded(self, reply: dict[str, Any], most: int) -> dict[str, Any]:
        """The reply; without what the provider answered where its record would be larger than the topic takes."""
        if self._record_bytes is not None:
            most = min(most, self._record_bytes)
        if len(orjson.dumps(reply)) <= most:
            return reply
        sentence = f"too_large: the reply's record has more than {most} bytes"
        log.warning("too large", request=reply["request_id"], most_bytes=most)
        return reply | {"status": "error", "content": None, "tool_calls": [], "error": sentence}


def _status(outcome: Outcome) -> tuple[str, str]:
    """(status, error) of a call that gave a reply."""
    if outcome.problem is not None:
        return "error", outcome.problem
    if outcome.refusal is not None:
        return "refused", "refusal: the model refused"
    if outcome.finish_reason == "content_filter":
        return "refused", "content_filter: the provider's content filter stopped the reply"
    return "ok", ""
