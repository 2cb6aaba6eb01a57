"""Topic `policy-rollouts`, read whole and followed: which policy this process decides by, without a restart."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from endocrine.agents._shared.prompt_keys import PromptKeyMissing, PromptKeys, prompt_key
from endocrine.agents.policy.canary import arms, compile_published
from endocrine.agents.policy.compiled import Policy
from endocrine.agents.policy.errors import PolicyError
from endocrine.pipeline.core.rollouts import TOPIC, Rollouts, rollouts_partition
from endocrine.pipeline.core.seals import Seals
from endocrine.pipeline.kafka import clients
from endocrine.pipeline.kafka.following import HELD_MS, fetches
from endocrine.pipeline.kafka.topic_reader import places_of
from endocrine.pipeline.process.cancelling import cancelled
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.schemas.rollouts import PolicyRollout

_START_S = 60.0
"""Seconds that reading what is there may take."""
_STOP_S = 5.0
log = structlog.get_logger("endocrine.policy")


async def read_rollouts(settings: Settings, seals: Seals) -> Rollouts:
    """Return the rollouts made by now. Raises NoSuchTopic, KafkaError, TimeoutError."""
    found = Rollouts(seals)
    await places_of(settings, [TOPIC], rollouts_partition(settings.partitions))  # to ask for a topic may create it
    consumer = clients.reader(settings)
    try:
        await consumer.start()
        await _read(consumer, _place(settings), found)
        return found
    finally:
        await consumer.stop()


def _place(settings: Settings) -> TopicPartition:
    return TopicPartition(settings.prefix + TOPIC, rollouts_partition(settings.partitions))


async def _read(consumer: AIOKafkaConsumer, place: TopicPartition, found: Rollouts) -> None:
    """Add what is on the topic at the call; the consumer goes on from there."""
    async with asyncio.timeout(_START_S):
        clients.introduce(consumer, [place])
        end = (await consumer.end_offsets([place]))[place]
        first = (await consumer.beginning_offsets([place]))[place]
        clients.assign_at(consumer, {place: first})
        while await consumer.position(place) < end:
            for records in (await consumer.getmany(place, timeout_ms=1000)).values():
                for raw in records:
                    _add(found, raw)


def _add(found: Rollouts, raw: Any) -> bool:
    counts = found.add(raw)
    if not counts:
        log.warning("not a rollout of ours: ignored", topic=TOPIC, partition=raw.partition, offset=raw.offset)
    return counts


class PolicyFollower:
    """`async with PolicyFollower(settings, seals, base, adopt)`: `policy` is the one in force, from entry on.

    base: the policy of the settings, in force while nothing is published. adopt: called on entry with the policy in
    force, and with every other one before it takes its place in `policy`. prompt_keys: of who decides by the policy; a
    policy that names a key which is not among them cannot be used. on_failure: called with what `adopt` raises later.

    A published policy that this code cannot use (of a newer version, or a key is missing) is not followed: `refused`
    says why, and the newest one of those that are not taken back stays or comes in force, at last `base`. Raises
    KafkaError and TimeoutError on entry; later, what is in force stays so while no broker answers.
    """

    def __init__(
        self,
        settings: Settings,
        seals: Seals,
        base: Policy,
        adopt: Callable[[Policy], Awaitable[None]],
        *,
        prompt_keys: PromptKeys | None = None,
        on_failure: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.policy = self.base = base
        self.rollouts = Rollouts(seals)
        self.refused: str | None = None
        """Why the policy that was published last is not the one in force here."""
        self._settings, self._adopt = settings, adopt
        self._prompt_keys, self._on_failure = prompt_keys, on_failure
        self._compiled: dict[str, Policy | str] = {}
        """By digest as published: the policy, or why it cannot be used."""
        self._consumer = clients.consumer(settings, group_id=None, fetch_max_wait_ms=HELD_MS)
        self._following: asyncio.Task[None] | None = None
        self._followed = 0
        """Number of the rollout that `policy` takes account of."""
        self._moved = asyncio.Event()

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            await _read(self._consumer, _place(self._settings), self.rollouts)
            await self._settle(first=True)
        except BaseException:
            await self._stop()
            raise
        self._following = asyncio.create_task(self._follow(), name="policy")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._following is not None:
            await cancelled([self._following])
        await self._stop()

    async def reached(self, number: int, within_s: float) -> bool:
        """Return whether this rollout, or a later one, is followed; wait so many seconds for it at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._followed < number:
                    self._moved.clear()
                    await self._moved.wait()
        return self._followed >= number

    async def _stop(self) -> None:
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(self._consumer.stop(), _STOP_S)

    async def _follow(self) -> None:
        async for fetched in fetches(self._consumer, "rollouts", log):
            new = [_add(self.rollouts, raw) for records in fetched.values() for raw in records]
            if any(new):
                try:
                    await self._settle()
                except Exception as error:
                    if self._on_failure is None:
                        raise
                    self._on_failure(error)

    async def _settle(self, *, first: bool = False) -> None:
        chosen, refused = await asyncio.to_thread(self._choose)
        if first or chosen.digest != self.policy.digest:
            await self._adopt(chosen)
            log.info("policy in force", digest=chosen.digest, rollout=self.rollouts.number)
        self.policy = chosen
        if refused is not None and refused != self.refused:
            log.error("the published policy cannot be used", reason=refused, digest=chosen.digest)
        self.refused = refused
        self._followed = self.rollouts.number
        self._moved.set()

    def _choose(self) -> tuple[Policy, str | None]:
        """The newest policy that is not taken back and can be used; and why that is not the newest one of all."""
        refused: str | None = None
        for entry in reversed(self.rollouts.standing()):
            found = self._use(entry)
            if isinstance(found, Policy):
                return found, refused
            refused = refused or f"rollout {entry.number}: {found}"
        return self.base, refused

    def _use(self, entry: PolicyRollout) -> Policy | str:
        assert entry.digest is not None
        assert entry.policy is not None
        if entry.digest not in self._compiled:
            self._compiled[entry.digest] = _compile(entry.policy, self._prompt_keys)
        return self._compiled[entry.digest]


def _compile(document: dict[str, Any], prompt_keys: PromptKeys | None) -> Policy | str:
    try:
        policy = compile_published(document, prompt_keys or {}, shipped_policy().resolved)
        if prompt_keys is not None:
            for one in arms(policy):
                prompt_key(one)
        return policy
    except PolicyError as error:
        return f"this code refuses it: {error.errors[0]}"
    except PromptKeyMissing as error:
        return str(error)
    except Exception as error:  # whatever a document is, it must not end who is deciding by another
        return f"this code cannot read it: {type(error).__name__}"
