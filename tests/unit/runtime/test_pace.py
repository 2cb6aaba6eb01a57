"""No batch holds the event loop for long, and cheap records still go in large batches."""

from hypothesis import given
from hypothesis import strategies as st

from endocrine.pipeline.runtime.adaptive_batch_size import HOLD_S, LEAST, AdaptiveBatchSize
from simbroker.broker import MemoryPort

costs = st.floats(1e-7, 10.0)


@given(st.integers(1, 5000), st.lists(st.tuples(st.integers(1, 5000), costs), min_size=1, max_size=30))
def test_a_batch_is_never_larger_than_asked_nor_smaller_than_carries_its_head(
    most: int, batches: list[tuple[int, float]]
) -> None:
    pace = AdaptiveBatchSize(most)
    for records, seconds in batches:
        pace.took(records, seconds)
        assert min(LEAST, most) <= pace.limit <= most


@given(st.floats(1e-6, 1e-3))
def test_where_every_record_costs_the_same_a_batch_thinks_for_the_time_it_may(cost: float) -> None:
    pace = AdaptiveBatchSize(1_000_000)
    for _ in range(30):
        pace.took(pace.limit, pace.limit * cost)
    assert pace.limit * cost <= HOLD_S
    assert pace.limit * cost >= HOLD_S - cost


def test_cheap_records_go_in_the_largest_batches() -> None:
    pace = AdaptiveBatchSize(2000)
    pace.took(2000, 2000 * 5e-6)
    assert pace.limit == 2000


def test_one_slow_batch_is_forgotten() -> None:
    pace = AdaptiveBatchSize(2000)
    pace.took(100, 10.0)
    assert pace.limit == LEAST
    for _ in range(40):
        pace.took(LEAST, LEAST * 1e-6)
    assert pace.limit == 2000


class AllAtOnce(MemoryPort):
    """Gives all that is there."""

    async def fetch(self, wait):
        runs = [(topic, log[self._position.get(topic, 0) :]) for topic, log in self._logs.items()]
        self._position.update({topic: len(log) for topic, log in self._logs.items()})
        runs = [run for run in runs if run[1]]
        return runs or await super().fetch(wait)


def sizes(world, pace):
    for number in range(300):
        world.send("in", f"a{number}")
    processor = world.processor(AllAtOnce, max_records=100, batch_size=pace)
    found = []
    fit = processor._prepare

    def watched(records, *others):
        found.append(len(records))
        return fit(records, *others)

    processor._prepare = watched
    life = world.life(processor)
    world.rest(life)
    life.close()
    assert len(world.said()) == 300
    return found


def test_a_unit_takes_fewer_records_at_once_when_they_cost_much(world) -> None:
    ticks = iter(range(10_000))
    dear = AdaptiveBatchSize(100, clock=lambda: float(next(ticks)))  # every batch takes a second
    assert max(sizes(type(world)(), None)) > LEAST
    assert max(sizes(world, dear)[1:]) <= LEAST
