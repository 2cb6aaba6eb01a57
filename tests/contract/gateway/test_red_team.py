"""The red team on Kafka: one attack of each kind against the real door; a door that observes only is found to break."""

import pytest
import pytest_asyncio

from attacked import MODEL, attacked
from endocrine.pipeline.data.redteam.corpus import load_corpus
from endocrine.pipeline.data.redteam.run import RedTeam
from gateway_serving import forget

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOUNDS = {"temperature": (0.0, 1.0), "top_p": (0.1, 1.0), "max_output_tokens": (256.0, 2048.0)}
CASES = (
    "secret-token", "forbidden-beside-allowed", "lookalike-cyrillic", "inner-address", "poison-instructions",
    "approved-by-the-application", "arguments-extra", "body-with-tools-twice", "chunks-interleaved",
    "wish-for-everything",
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus():
    """One case of each kind, as streams where it has several forms."""
    whole = load_corpus()
    cases = [case.model_copy(update={"modes": case.modes[-1:]}) for case in whole.cases if case.name in CASES]
    assert {case.kind for case in cases} == set(whole.kinds)
    return whole.model_copy(update={"cases": tuple(cases)})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def under_attack(module_settings, corpus, tmp_path_factory):
    async with attacked(module_settings, corpus, tmp_path_factory.mktemp("attacked")) as found:
        yield found
    await forget(module_settings)


async def attack(corpus, door, key):
    return await RedTeam(corpus, BOUNDS, door.url, key, MODEL, key[-6:].lower(), timeout_s=120, settle_s=120).run()


@pytest.mark.parametrize("key", ["buffered", "windowed"])
async def test_each_kind_of_attack_is_held_off_where_it_is_to_be(corpus, under_attack, key):
    door, keys = under_attack
    results = await attack(corpus, door, keys[key])
    assert {one.case.name: (one.outcome, one.breaches) for one in results} == {name: ("held", []) for name in CASES}
    assert any(one.on_record for one in results)


async def test_a_door_that_only_observes_is_found_to_break_its_promises(corpus, under_attack):
    door, _ = under_attack
    key = door.key("capture", "read", name="buffered-observed", mode="observe", rate=1e4, burst=10**5)
    forbidden = corpus.only("allowlist")
    (result,) = await attack(forbidden, door, key)
    assert "a call of 'transfer_money' left the door" in result.breaches
