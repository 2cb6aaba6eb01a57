"""The states of agents at a moment, made again from the topics."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from endocrine.agents.contract import Agent
from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.content_keys import KeyTable
from endocrine.pipeline.core.hash_chain import CHAIN_KEY
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.core.state_format import state_format
from endocrine.pipeline.replay.journals import read_journal
from endocrine.pipeline.replay.logs import Logs
from endocrine.pipeline.replay.plan import plan_processor
from endocrine.pipeline.replay.recorded_seals import RecordedSeals, prepared
from endocrine.pipeline.replay.replayer import Replayer, ReplayError, StartingPoint
from endocrine.pipeline.replay.report import Scope
from endocrine.pipeline.replay.state_files import Snapshots


class KeyState(NamedTuple):
    """One state of one agent."""

    agent: str
    partition: int
    key: str
    state: Any
    """JSON value."""


class Traveller:
    """Rebuilds states as of a moment. `problems` holds why a unit could not be brought there, `starts` where from.

    keys: of content.
    """

    def __init__(
        self,
        logs: Logs,
        policy_of: Callable[[str], Policy],
        *,
        partitions: int,
        sizes: Sizes,
        snapshots: Snapshots | None = None,
        keys: KeyTable | None = None,
    ) -> None:
        self.problems: list[str] = []
        self.starts: dict[str, tuple[int, str]] = {}
        """By unit, the batch that it was brought to and where that began."""
        self._logs = prepared(logs, RecordedSeals())
        self._policy_of, self._partitions, self._sizes = policy_of, partitions, sizes
        self._snapshots, self._keys = snapshots or Snapshots(), keys

    def states(self, agents: Sequence[Agent], at_ms: int | None, identity: str | None = None) -> Iterator[KeyState]:
        """Yield states after the last batch whose journal record was appended at or before that moment; of now without
        one.

        identity: only states of this one's life.
        """
        homes = range(self._partitions) if identity is None else [partition_of(identity, self._partitions)]
        for partition in homes:
            journals = read_journal(
                self._logs["journal", partition], partition, self._problem, self._snapshots.restored_from
            )
            for agent in agents:
                journal = journals.get(f"{agent.name}/{partition}")
                if journal is None:
                    continue
                # The nearest snapshot is the last one of a batch that was journaled by then.
                near = Scope(since_ms=None if at_ms is None else at_ms + 1, until_ms=at_ms)
                plan = plan_processor(agent, partition, journal, self._logs, near, self._snapshots)
                if plan.broken is None and plan.start.batch > plan.last:
                    plan.broken = ReplayError(
                        "not verifiable", f"{journal.processor}: {plan.start.origin} is later than asked for"
                    )
                if plan.broken is not None:
                    self._problem(plan.broken.kind, str(plan.broken))
                    continue
                run = self._run(plan.agent, partition, plan.start)
                try:
                    for batch in range(plan.start.batch + 1, plan.last + 1):
                        self._batch(run, journal.entry(batch))
                except ReplayError as error:
                    self._problem(error.kind, str(error))
                    continue
                self.starts[run.name] = run.batch, plan.start.origin
                if run.lost.keys:
                    self._problem("erased", f"{run.name}: {len(run.lost.keys)} states were decided from erased content")
                yield from self._shown(run, identity)

    def _run(self, agent: Agent, partition: int, start: StartingPoint) -> Replayer:
        return Replayer(
            agent,
            partition,
            start,
            self._logs,
            partitions=self._partitions,
            sizes=self._sizes,
            keys=self._keys,
        )

    def _batch(self, run: Replayer, entry: dict[str, Any]) -> None:
        records = run.inputs(entry)
        if not run.intact(records, entry):
            self._problem("inputs changed", f"{run.name}: what batch {entry['batch']} read was changed since")
        try:
            policy = self._policy_of(entry["policy"])
        except KeyError as error:
            raise ReplayError(
                "not verifiable", f"{run.name}: policy {entry['policy']} of batch {entry['batch']}: {error.args[0]}"
            ) from None
        run.process(records, entry, policy, lambda out: None)

    def _shown(self, run: Replayer, identity: str | None) -> Iterator[KeyState]:
        form = state_format(run.agent)
        for key, stored in sorted(run.states.items()):
            # A key finer than the identity begins with it (architecture, section 2).
            if key == CHAIN_KEY or (identity is not None and key != identity and not key.startswith(identity + "/")):
                continue
            yield KeyState(run.agent.name, run.partition, key, form.decode(key, stored)[0])

    def _problem(self, kind: str, detail: str) -> None:
        self.problems.append(f"{kind}: {detail}")
