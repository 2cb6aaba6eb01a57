"""The gateway's core as the OpenAI-compatible endpoint sees it: `openai.port.TurnPort` over Kafka."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any, Literal

from aiokafka.errors import KafkaError
from starlette.requests import Request

from endocrine.agents.moderation.local import judge_all
from endocrine.pipeline.gateway.awaiting import Acknowledged, NotRecorded
from endocrine.pipeline.gateway.callers import checked_identity, checked_project
from endocrine.pipeline.gateway.idempotency import Slot
from endocrine.pipeline.gateway.openai.port import (
    ApplicationRules,
    Caller,
    Continuation,
    PassedCall,
    PassedTurn,
    TurnHead,
    TurnRequest,
)
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.openai_port.admission import admitted
from endocrine.pipeline.gateway.openai_port.images import ImageWriter
from endocrine.pipeline.gateway.openai_port.known_turns import PREFIX, SEED_CHARS, KnownTurns, adopt
from endocrine.pipeline.gateway.openai_port.refusing import refused_of
from endocrine.pipeline.gateway.openai_port.results import result_record, results_digest
from endocrine.pipeline.gateway.openai_port.rounds import Rounds, request_of
from endocrine.pipeline.gateway.openai_port.turn import GatewayTurn
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.records import checked
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.watch import Overloaded, Watch

Json = dict[str, Any]
_RETRY_S = 0.3
"""Seconds without news after which a request under an idempotency key is taken for a retry."""
_RESUMED_S = 1.0
"""The same for results: with all of them there, the model is asked within milliseconds."""
_SOURCES: Mapping[str, Literal["any", "header", "user", "fixed"]] = {
    "header": "header",
    "user": "user",
    "fixed": "fixed",
}


class GatewayPort:
    """See `openai.port.TurnPort`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._turns = KnownTurns(gateway)
        self._images = ImageWriter(gateway)
        self.session_key = gateway.awaiting.secret(b"openai sessions")
        self._result_key = gateway.awaiting.secret(b"application results")

    async def authenticate(self, request: Request) -> Caller:
        """See TurnPort."""
        try:
            known = await self._gateway.doorkeeper.known(request)
        except Problem as problem:
            raise refused_of(problem) from None
        source = _SOURCES.get(known.identity_from, "any")
        return Caller(known.name, frozenset(known.scopes), known.enforce, known.fixed_identity, source)

    def rules(self, caller: Caller) -> ApplicationRules:
        """See TurnPort."""
        document = self._gateway.policy.document
        found = document.applications.of(caller.client)
        reserved = frozenset(document.tools.by_function) if found.own_tools else frozenset[str]()
        return ApplicationRules(
            reserved, found.stream, self._gateway.limits.withheld_finish, found.judge_history, found.images
        )

    def models(self, caller: Caller) -> Sequence[str]:
        """See TurnPort: the default model, and those that the policy names without a pattern."""
        rules = self._gateway.policy.document.models
        named = [rules.default_model, *(entry.match for entry in rules.models if not set(entry.match) & set("*?["))]
        return [name for name in dict.fromkeys(named) if self.may_use(caller, name)]

    def may_use(self, caller: Caller, model: str) -> bool:
        """See TurnPort."""
        return self._gateway.policy.document.applications.of(caller.client).allows_model(model)

    async def open(self, caller: Caller, request: TurnRequest) -> GatewayTurn:
        """See TurnPort."""
        async with self._refusing():
            slot = await self._slot(caller, request)
            audit_id = PREFIX + slot.seed[:SEED_CHARS]
            identity = checked_identity(self._gateway.names, request.opened["identity"])
            project = checked_project(self._gateway.names, request.opened.get("project"))
            named = {"identity": identity} | ({} if project is None else {"project": project})
            value = {**request.opened, **named, "audit_id": audit_id, "id": slot.id_of(), "ts": slot.ts}
            value = checked(self._gateway, "interactions", value)
            if request.images:  # on record before the turn that names them
                images = await self._images.given(audit_id, identity, request.images, slot.ts, keyed=slot.keyed)
                value = checked(self._gateway, "interactions", value | {"images": images})
            with ExitStack() as ending:
                watch = self._watch(ending, identity, audit_id, [value["id"]])
                ack = await self._gateway.awaiting.produce("interactions", value)
                rounds = self._rounds(watch, caller, request)
                look_back = None if not slot.keyed else 0.0 if slot.again else _RETRY_S
                await admitted(self._gateway, rounds, self._within(caller), look_back)
                return self._turn(rounds, request, ending, (), ack)
        raise AssertionError("unreachable")

    async def passed(self, caller: Caller, identity: str, call_ids: Sequence[str]) -> PassedTurn | None:
        """See TurnPort."""
        if not call_ids:
            return None
        async with self._refusing():
            async with asyncio.timeout(self._gateway.limits.decision_s):
                whose = checked_identity(self._gateway.names, identity)
                return await self._turns.passed(whose, call_ids[-1], not caller.enforce)
        raise AssertionError("unreachable")

    async def resume(self, caller: Caller, continuation: Continuation) -> GatewayTurn:
        """See TurnPort."""
        async with self._refusing():
            identity = checked_identity(self._gateway.names, continuation.identity)
            audit_id = continuation.audit_id
            results, request = continuation.results, continuation.request
            name = "results " + hashlib.sha256("\0".join(one.call_id for one in results).encode()).hexdigest()
            digest = results_digest(results, request.streamed)
            slot = await self._gateway.idempotency.claimed(caller.client, name, digest)
            values = [
                result_record(one, audit_id, identity, slot.ts, self._result_key, request.streamed) for one in results
            ]
            for value in values:
                checked(self._gateway, "tool-results", value)
            known = self._turns.get(identity, audit_id)
            with ExitStack() as ending:
                watch = self._watch(ending, identity, audit_id, [value["id"] for value in values])
                adopt(watch, known)
                rounds = self._rounds(watch, caller, request)
                rounds.after = request_of(results[-1].call_id)
                rounds.first = (0 if known is None else known.rounds) + 1
                sending = [self._gateway.awaiting.produce("tool-results", value, sealed=True) for value in values]
                ack = (await asyncio.gather(*sending))[-1]
                await admitted(
                    self._gateway, rounds, self._within(caller), 0.0 if slot.again or known is None else _RESUMED_S
                )
                if watch.closed is not None and watch.closed.value["finish"] == "not_continued":
                    raise Refused("unknown_tool_call", audit_id=audit_id)
                return self._turn(rounds, request, ending, () if known is None else known.calls, ack)
        raise AssertionError("unreachable")

    # ---- parts ----

    async def _slot(self, caller: Caller, request: TurnRequest) -> Slot:
        key, idempotency = request.idempotency_key, self._gateway.idempotency
        if key is None:
            return Slot("", uuid.uuid4().hex, idempotency.now(), keyed=False, again=False)
        return await idempotency.claimed(caller.client, key, f"openai {request.body_digest}")

    def _watch(self, ending: ExitStack, identity: str, audit_id: str, record_ids: Sequence[str]) -> Watch:
        return ending.enter_context(self._gateway.awaiting.turn(identity, audit_id, record_ids=record_ids))

    def _rounds(self, watch: Watch, caller: Caller, request: TurnRequest) -> Rounds:
        declared = frozenset(one["name"] for one in request.opened["application_tools"] or ())
        return Rounds(watch, self._gateway.policy.of(watch.identity), not caller.enforce, declared)

    def _within(self, caller: Caller) -> float:
        """Seconds until the model must be asked: longer where our own tools or a remote verdict come first."""
        document, limits = self._gateway.policy.document, self._gateway.limits
        slow = document.moderation.provider == "remote" or document.applications.of(caller.client).own_tools
        return limits.answer_s if slow else limits.decision_s

    def _turn(
        self, rounds: Rounds, request: TurnRequest, ending: ExitStack, before: tuple[PassedCall, ...], ack: Acknowledged
    ) -> GatewayTurn:
        head = self._head(rounds, request, ack)

        def passed() -> None:
            self._turns.note(rounds, before)

        return GatewayTurn(head, rounds, rounds.policy, self._gateway.limits, ending.pop_all(), passed)

    def _head(self, rounds: Rounds, request: TurnRequest, ack: Acknowledged) -> TurnHead:
        watch, requests, document = rounds.watch, rounds.requests(), self._gateway.policy.document
        modulation: Json = watch.modulation or {}
        would = list(request.would)
        timing = {"ack": 1000 * ack.ack_s}
        if (first := watch.modulations.get(0)) is not None and first.received >= ack.at:
            timing["decide"] = 1000 * max(0.0, first.appended - ack.at)
            timing["deliver"] = 1000 * max(0.0, first.received - max(first.appended, ack.at))
        if rounds.observed:
            if modulation.get("refusal"):
                would.append(modulation["refusal"])
            style = modulation.get("prompt_style", document.defaults.safety_mode)
            preset = getattr(document.prompt_styles, style).moderation_preset
            if judge_all(request.opened["prompt"], "input", preset, document.moderation).blocked:
                would.append("content_policy_violation")
        return TurnHead(
            watch.audit_id or "",
            modulation.get("mode", "unknown"),
            modulation.get("policy", self._gateway.policy.digest),
            modulation.get("revision", 0),
            request.opened["asked"] or {},
            requests[-1].value["parameters"] if requests else {},
            tuple(dict.fromkeys(would)),
            () if rounds.observed else _not_offered(request, modulation),
            timing_ms=timing,
        )

    @asynccontextmanager
    async def _refusing(self) -> AsyncIterator[None]:
        """What the core raises, as a refusal."""
        try:
            yield
        except Problem as problem:
            raise refused_of(problem) from None
        except Overloaded:
            raise Refused("overloaded", retry_after_ms=1000) from None
        except (NotRecorded, KafkaError):
            raise Refused("overloaded", "The broker does not take records now.", retry_after_ms=2000) from None
        except TimeoutError:
            raise Refused("decision_timeout") from None


def _not_offered(request: TurnRequest, modulation: Json) -> tuple[str, ...]:
    """Functions that the request declares and the turn's modulation does not offer."""
    offered = {one["name"] for one in modulation.get("functions") or ()}
    declared = (one["name"] for one in request.opened["application_tools"] or ())
    return tuple(dict.fromkeys(name for name in declared if name not in offered))
