"""Which units are behind what others have read of them."""

from endocrine.pipeline.core.checkpoint import Checkpoint
from endocrine.pipeline.core.outbox import Outbox
from endocrine.pipeline.data.backup.consistent_cut import UnitState, behind

AGENTS = ["modulation", "gating"]


def unit(next_offsets: dict[str, int], watermarks: dict[str, tuple[int, int]]) -> UnitState:
    return UnitState(Checkpoint(0, 1, next_offsets, watermarks), {}, Outbox(1, (), []), [])


def test_a_writer_whose_output_was_read_before_its_state_has_it_is_behind() -> None:
    read = {"modulations<modulation/interactions/0": (7, 0)}
    units = {"modulation/0": unit({"interactions": 7}, {}), "gating/0": unit({"modulations": 3}, read)}
    assert behind(units, AGENTS) == {"modulation/0"}
    units["modulation/0"] = unit({"interactions": 8}, {})
    assert behind(units, AGENTS) == set()


def test_a_writer_without_any_state_is_behind_and_an_agent_of_another_version_is_not() -> None:
    read = {"modulations<modulation/interactions/1": (0, 0), "modulations<gone/interactions/1": (4, 0)}
    assert behind({"gating/0": unit({}, read)}, AGENTS) == {"modulation/1"}


def test_the_owner_of_a_topic_is_behind_when_what_it_moved_was_read() -> None:
    read = {"interactions<re-keyed/interactions/1": (4, 0)}
    units = {"modulation/0": unit({}, read), "modulation/1": unit({"interactions": 4}, {})}
    assert behind(units, AGENTS) == {"modulation/1"}
