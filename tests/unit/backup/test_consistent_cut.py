"""Which units are behind what others have read of them."""

import pytest

from endocrine.pipeline.core.checkpoint import Checkpoint
from endocrine.pipeline.core.outbox import Outbox
from endocrine.pipeline.data.backup.consistent_cut import NoCut, UnitState, behind, cut_of

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


class Lives:
    """Units that go on while they are read: each look at modulation/0 finds it one record further."""

    def __init__(self, ahead: int) -> None:
        self.read: list[str] = []
        self.ahead = ahead

    async def __call__(self, name: str) -> UnitState | None:
        self.read.append(name)
        if name == "modulation/0":
            return unit({"interactions": self.read.count(name)}, {})
        return unit({"modulations": 1}, {"modulations<modulation/interactions/0": (self.ahead, 0)})


async def test_a_writer_that_is_behind_is_read_again_until_none_is() -> None:
    lives = Lives(ahead=2)
    units = await cut_of(lives, ["gating/0", "modulation/0"], AGENTS)
    assert units["modulation/0"].checkpoint.next_offsets == {"interactions": 3}
    assert lives.read == ["gating/0", *["modulation/0"] * 3]


async def test_a_cut_that_cannot_be_had_is_given_up() -> None:
    with pytest.raises(NoCut, match="modulation/0 behind"):
        await cut_of(Lives(ahead=1000), ["gating/0", "modulation/0"], AGENTS)
