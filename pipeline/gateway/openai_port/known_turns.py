"""Which turn a call was passed on for: kept in process, else read back from the sealed decisions.

A turn's id is part of the ids of its calls, so any gateway finds it, after a restart too.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass

from endocrine.pipeline.gateway.lookback import WINDOW_S
from endocrine.pipeline.gateway.openai.port import PassedCall, PassedTurn
from endocrine.pipeline.gateway.openai_port.rounds import Rounds, request_of
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.gateway.watch import ReceivedRecord, Watch

PREFIX = "oa-"
"""What ids of turns of this door begin with."""
SEED_CHARS = 22
"""Of a turn's id: with `/step/call-N` after it the id of a call has less than the 40 characters that providers take."""
_MOST = 2_000


@dataclass(frozen=True)
class KnownTurn:
    """A turn with calls that were passed on."""

    calls: tuple[PassedCall, ...]
    modulation: ReceivedRecord | None

    @property
    def rounds(self) -> int:
        """Rounds so far."""
        return max((call.step for call in self.calls), default=0)


class KnownTurns:
    """The latest turns, by identity and audit id."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._known: OrderedDict[tuple[str, str], KnownTurn] = OrderedDict()

    def note(self, rounds: Rounds, before: tuple[PassedCall, ...] = ()) -> None:
        """Keep what a turn passed on. before: calls of earlier requests of the application."""
        watch = rounds.watch
        if watch.audit_id is None:
            return
        modulation = None if watch.revision is None else watch.modulations[watch.revision]
        place = watch.identity, watch.audit_id
        self._known[place] = KnownTurn((*before, *rounds.passed()), modulation)
        self._known.move_to_end(place)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def get(self, identity: str, audit_id: str) -> KnownTurn | None:
        """Return what this process knows of a turn."""
        return self._known.get((identity, audit_id))

    async def passed(self, identity: str, call_id: str, observed: bool) -> PassedTurn | None:
        """Return the turn of a call with all calls that it passed on; None where that is no call of this identity's
        turns.

        Raises TimeoutError, KafkaError.
        """
        audit_id = turn_of(call_id)
        if audit_id is None:
            return None
        known = self.get(identity, audit_id)
        if known is None or call_id not in {call.call_id for call in known.calls}:
            known = await self._read_back(identity, audit_id, observed)
        if call_id not in {call.call_id for call in known.calls}:
            return None
        return PassedTurn(audit_id, known.calls)

    async def _read_back(self, identity: str, audit_id: str, observed: bool) -> KnownTurn:
        gateway, since = self._gateway, time.time() - WINDOW_S
        watch = Watch(identity, audit_id)
        # Few turns are asked for that do not exist, and those end with the first topic.
        for topic in ("tool-decisions", "model-replies", "modulations"):
            await gateway.lookback.into(watch, topic, since)
            if not watch.decisions:
                return KnownTurn((), None)
        rounds = Rounds(watch, gateway.policy.of(identity), observed)
        if rounds.passed():
            self.note(rounds)
        return self.get(identity, audit_id) or KnownTurn((), None)


def turn_of(call_id: str) -> str | None:
    """Return the turn that a call belongs to by its id; None where no door of this kind opened it."""
    audit_id = request_of(call_id).partition("/")[0]
    return audit_id if audit_id.startswith(PREFIX) and len(call_id) <= 256 else None


def adopt(watch: Watch, known: KnownTurn | None) -> None:
    """Put the modulation that was in force into a watch that begins later."""
    if known is not None and known.modulation is not None:
        watch.modulations.setdefault(known.modulation.value["revision"], known.modulation)
