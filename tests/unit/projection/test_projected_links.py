"""Links in the read models: each lies under both of its identities, whatever their names hold."""

import orjson
import pytest

from endocrine.agents.canonical import canonical_json
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.views.redis import views
from endocrine.pipeline.views.redis.writes import PROVED, TOPICS, Write, writes_of

LINK = {"a": "a/x", "b": 'b"|', "score": 0.91, "evidence": [], "status": "applied", "weakened": False, "by": "op",
        "ts": 1.0}  # fmt: skip
KEY = canonical_json(["a/x", 'b"|'])


def writes(key, value):
    raw, skipped = None if value is None else orjson.dumps(value), []
    record = Fetched(3, 5, 0, key, raw, ())
    found = writes_of("identity-links", "l/3", [record], 1 << 20, lambda _, malformed: skipped.append(malformed.kind))
    return found, skipped


def test_a_link_lies_under_both_identities_and_a_tombstone_takes_it_out_of_both():
    raw = orjson.dumps(LINK)
    assert writes(KEY, LINK) == (
        [
            Write("hset", "endocrine:links:a/x", 'l/3#b"|', 5, 0, 'b"|', raw),
            Write("hset", 'endocrine:links:b"|', "l/3#a/x", 5, 0, "a/x", raw),
        ],
        [],
    )
    found, _ = writes(KEY, None)
    assert [(write.verb, write.key) for write in found] == [
        ("hdel", "endocrine:links:a/x"), ("hdel", 'endocrine:links:b"|'),
    ]  # fmt: skip
    assert writes(b"a/x", LINK) == ([], ["key"])


def test_only_what_we_wrote_is_shown():
    assert "identity-links" in TOPICS
    assert "identity-links" in PROVED


class Hashes:
    """As much of a Redis as the views of links ask for."""

    def __init__(self, applied):
        self.rows = {}
        for a, b, status in applied:
            for one, other in ((a, b), (b, a)):
                row = {"a": a, "b": b, "score": 0.91, "status": status}
                self.rows.setdefault(f"endocrine:links:{one}", {})[other.encode()] = orjson.dumps(row)

    async def hgetall(self, key):
        return self.rows.get(key, {})


async def test_a_group_is_the_connected_component_over_applied_links():
    hashes = Hashes([("a", "b", "applied"), ("b", "c", "applied"), ("c", "d", "proposed"), ("a", "c", "applied")])
    for one in "abc":
        assert await views.link_group(hashes, one) == (["a", "b", "c"], False)
    assert await views.link_group(hashes, "d") == (["d"], False)
    assert await views.link_group(hashes, "nobody") == (["nobody"], False)


@pytest.mark.parametrize(("others", "truncated"), [(63, False), (64, True)])
async def test_a_group_has_64_members_at_most_and_says_where_there_are_more(others, truncated):
    hashes = Hashes([("hub", f"p{number:02}", "applied") for number in range(others)])
    found = await views.link_group(hashes, "hub")
    assert (len(found.members), found.truncated) == (64, truncated)
    assert "hub" in found.members


async def test_links_are_listed_by_score_and_status():
    hashes = Hashes([("a", "b", "applied"), ("a", "c", "proposed")])
    assert [one["b"] for one in await views.links(hashes, "a")] == ["b", "c"]
    assert [one["b"] for one in await views.links(hashes, "a", status="proposed")] == ["c"]
