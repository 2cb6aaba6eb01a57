"""All cases against one door: attacks side by side, then what incidents and audits have on record."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2 as httpx

from endocrine.pipeline.data.redteam.attack import Attacker, DoorAway, modes_of
from endocrine.pipeline.data.redteam.corpus import Case, Corpus
from endocrine.pipeline.data.redteam.promises import Bounds, Observed, breaches, signs

Json = dict[str, Any]
Outcome = Literal["held", "not_held", "not_reached"]
AT_ONCE = 8
"""Cases that run side by side."""
SETTLE_S = 20.0
"""Seconds that incidents and audits of all cases may take to be on record."""
_LOOK_S = 0.25


class KeyRefused(Exception):
    """The door does not take the key. The message says so without it."""


@dataclass(frozen=True)
class Result:
    """One case in one mode."""

    case: Case
    mode: str
    identity: str
    breaches: list[str]
    reached: bool | None
    """Whether the attack came as far as the rule that stops it; None: the case has no sign of it."""
    on_record: bool
    """Whether incidents or audits were read for it."""
    audit_ids: list[str]

    @property
    def outcome(self) -> Outcome:
        """What became of it; that it was not reached counts as such only where it was to be."""
        return "not_held" if self.breaches else "not_reached" if self.reached is False else "held"


@dataclass
class RedTeam:
    """A corpus against a door.

    run_id: makes identities that nobody else has. progress: called with the number done and in all.
    """

    corpus: Corpus
    bounds: Bounds
    base_url: str
    key: str | None
    model: str
    run_id: str
    progress: Callable[[int, int], None] | None = None
    timeout_s: float = 60.0
    settle_s: float = SETTLE_S
    transport: httpx.AsyncBaseTransport | None = None
    """In place of the network, for tests."""
    _readable: bool = field(default=True, init=False)

    async def run(self) -> list[Result]:
        """Return the result of each case in each of its modes. Raises DoorAway, KeyRefused."""
        headers = {} if self.key is None else {"authorization": f"Bearer {self.key}"}
        bare = httpx.AsyncClient(
            base_url=self.base_url, headers=headers, timeout=self.timeout_s, trust_env=False, transport=self.transport
        )
        async with bare as client:
            await self._greet(client)
            attackers = [
                Attacker(client, self.corpus, case, mode, f"redteam-{self.run_id}-{case.name}-{mode}", self.model)
                for case in self.corpus.cases
                for mode in modes_of(case)
            ]
            await self._attack(attackers)
            return await self._results(client, attackers)

    async def _greet(self, client: httpx.AsyncClient) -> None:
        """See that somebody is there and takes the key."""
        try:
            answer = await client.get("/v1/incidents", params={"limit": 1})
        except httpx.HTTPError as error:
            raise DoorAway(f"no door answers at {self.base_url}: {type(error).__name__}") from None
        if answer.status_code == 401:
            raise KeyRefused("the door does not take the key (401); name a valid one with --key-file")
        self._readable = answer.status_code == 200

    async def _attack(self, attackers: list[Attacker]) -> None:
        turnstile, done = asyncio.Semaphore(AT_ONCE), 0

        async def one(attacker: Attacker) -> None:
            nonlocal done
            async with turnstile:
                await attacker.run()
            done += 1
            if self.progress is not None:
                self.progress(done, len(attackers))

        tasks = [asyncio.create_task(one(attacker)) for attacker in attackers]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _results(self, client: httpx.AsyncClient, attackers: list[Attacker]) -> list[Result]:
        """Judge each; those whose sign is not there yet are looked at again until it is, or the time is over."""
        ends = time.monotonic() + self.settle_s
        found: dict[int, Result] = {}
        while True:
            for number, attacker in enumerate(attackers):
                if number not in found or found[number].reached is False:
                    found[number] = await self._judged(client, attacker)
            waiting = self._readable and any(one.reached is False for one in found.values())
            if not waiting or time.monotonic() > ends:
                return [found[number] for number in range(len(attackers))]
            await asyncio.sleep(_LOOK_S)

    async def _judged(self, client: httpx.AsyncClient, attacker: Attacker) -> Result:
        case, answers = attacker.case, attacker.answers
        ids = list(dict.fromkeys(one.audit_id for one in answers if one.audit_id))
        incidents = audits = None
        if self._readable:
            incidents = await self._read(client, "/v1/incidents", "items", identity=attacker.identity)
            audits = [bundle for one in ids for bundle in await self._bundles(client, one)]
        secrets = {name: canary.text for name, canary in self.corpus.canaries.items()}
        seen = Observed(answers, attacker.decided, incidents, audits, secrets)
        reached = None if case.sign is None else case.sign in signs(seen)
        broken = breaches(case, seen, self.bounds)
        return Result(case, attacker.mode, attacker.identity, broken, reached, bool(incidents or audits), ids)

    async def _bundles(self, client: httpx.AsyncClient, audit_id: str) -> list[Json]:
        found = await self._object(client, f"/v1/audits/{audit_id}", {})
        bundle = found.get("bundle")
        return [] if not isinstance(bundle, dict) else [bundle, *found.get("supplements", [])]

    async def _read(self, client: httpx.AsyncClient, path: str, member: str, **query: str) -> list[Json]:
        found = (await self._object(client, path, query)).get(member)
        return found if isinstance(found, list) else []

    async def _object(self, client: httpx.AsyncClient, path: str, query: dict[str, str]) -> Json:
        try:
            answer = await client.get(path, params=query)
            found = answer.json() if answer.status_code == 200 else {}
        except (httpx.HTTPError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
