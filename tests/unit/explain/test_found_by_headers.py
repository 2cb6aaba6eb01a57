"""A turn is found though records beside it have null headers, which say nothing."""

import orjson
import pytest

from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.views.explain import find

NULLS = tuple((name, None) for name in ("ce_id", "endocrine-cut", "endocrine-version", "endocrine-policy", "mine"))


@pytest.mark.parametrize("decided", [True, False])
async def test_a_null_header_names_neither_the_batch_nor_the_record(bundles, monkeypatch, decided):
    bundle = next(one for one in bundles if one["audit_id"] == "ann-turn-3" and one["supplement"] == 0)
    name = bundle["records"]["modulations"][0]
    told = (("ce_id", name.encode()), ("endocrine-cut", b"modulation/0/7"), ("endocrine-version", None))
    topics = {
        "audits": [Fetched(0, 0, 1000, b"ann", orjson.dumps(bundle), NULLS)],
        "modulations": [Fetched(0, 0, 900, b"ann", b"{}", NULLS), Fetched(0, 1, 900, b"ann", b"{}", told)],
    }

    async def batches(settings, names, **asked):
        for topic in names:
            yield topic, 0, topics.get(topic, [])[: None if decided else 1]

    monkeypatch.setattr(find, "batches", batches)
    explained = await find.by_audit_id(Settings(), "ann-turn-3")
    first, last = explained.decided[0], explained.decided[-1]
    assert (first.id, first.cut, first.version) == (name, "modulation/0/7" if decided else None, None)
    assert (last.id, last.cut, last.version, last.policy) == (bundle["hash"], None, None, None)
