"""What was fetched goes to the processors that read it, in the order in which the agents were given."""

from types import SimpleNamespace
from typing import Any

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.kafka.fetched_ends import FetchedEnds, Since
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.runtime.worker.kafka_broker_port import size_of
from endocrine.pipeline.runtime.worker.processor_manager import ProcessorManager
from endocrine.pipeline.runtime.worker.transport import Delivered


def managing() -> tuple[ProcessorManager, list[tuple[Any, ...]]]:
    broker: Any = SimpleNamespace(client_id="worker")
    manager = ProcessorManager(
        Settings(), AGENTS, broker, shipped_policy, "version", simulated_seals(), lambda error: None
    )
    arrived: list[tuple[Any, ...]] = []

    def port(name: str) -> Any:
        return SimpleNamespace(arrive=lambda *given: arrived.append((name, *given)))

    manager._ports = {(agent.name, 1): port(agent.name) for agent in reversed(AGENTS)}
    return manager, arrived


def test_the_processor_that_a_turn_waits_for_gets_it_first():
    manager, arrived = managing()
    records = [Fetched(1, 7, 0, b"ann", b"{}", (("ce_id", b"t1"),))]
    since = Since(FetchedEnds(), 3)
    manager.deliver(Delivered("endocrine.interactions", 1, records, 7, 9, since))
    assert [name for name, *_ in arrived] == [agent.name for agent in AGENTS if "interactions" in agent.sources]
    assert arrived[0] == ("modulation", "interactions", records, 7, 9, size_of(records), since)


def test_what_nobody_here_reads_and_what_is_of_another_partition_is_dropped():
    manager, arrived = managing()
    manager.deliver(Delivered("endocrine.changelog.gating", 1, [], 0, 1))
    manager.deliver(Delivered("endocrine.interactions", 0, [], 0, 1))
    assert arrived == []
