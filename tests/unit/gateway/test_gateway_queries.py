"""Times, cursors and ids of requests: what the document allows is taken, and comes back as it was."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Match

from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.routes.reads import _CURSOR, cursor_of, shown_cursor, time_of
from endocrine.pipeline.gateway.row import Row
from endocrine.pipeline.views.redis import keys
from endocrine.pipeline.views.redis.keys import ViewKeys


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1853-05-01T21:57:19.25+10:14", 0.0),
        ("1970-01-01T00:00:07Z", 7.0),
        ("7.5", 7.5),
        ("1.03e-124", 0.0),
        ("1.5e9", 1.5e9),
        ("0", 0.0),
    ],
)
def test_a_date_before_1970_is_before_all_there_is(text, seconds):
    assert time_of({"since": text}, "since") == seconds


@pytest.mark.parametrize("text", ["-1", "1e400", "253402300800", "yesterday", "", "20260301"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(Problem):
        time_of({"since": text}, "since")


@given(st.integers(0, 10**18 - 1), st.binary(max_size=300))
def test_a_cursor_names_its_place_and_fits_the_document(score, member):
    text = shown_cursor((score, member))
    assert re.fullmatch(_CURSOR, text)
    assert cursor_of({"cursor": text}) == (score, member)


@given(st.text(max_size=30) | st.from_regex(_CURSOR))
def test_no_cursor_is_a_fault_of_ours(text):
    with contextlib.suppress(Problem):
        assert cursor_of({"cursor": text}) is not None


@given(st.text(min_size=1, max_size=20))
def test_an_id_in_a_path_is_any_text(name):
    async def handler(*_):
        return PlainTextResponse("")

    row = Row("GET", "/v1/bonds/{identity}/events", "read", handler, "")
    route = row.route(None)
    app = Starlette(routes=[route])
    found, scope = route.matches({"type": "http", "method": "GET", "path": f"/v1/bonds/{name}/events", "app": app})
    assert found is Match.FULL
    assert scope["path_params"]["identity"] == name


def test_views_of_two_deployments_share_no_key_and_those_of_the_shipped_one_are_as_they_were():
    shipped, other = ViewKeys(keys.SHIPPED), ViewKeys("shop.")
    named = [lambda v: v.turn("a"), lambda v: v.turns(), lambda v: v.turns("a"), lambda v: v.turns(project="a"),
             lambda v: v.incidents(), lambda v: v.analytics()]  # fmt: skip
    assert [name(shipped) for name in named] == [
        "endocrine:view:turn:a", "endocrine:view:turns", "endocrine:view:turns:identity:a",
        "endocrine:view:turns:project:a", "endocrine:view:incidents", "endocrine:view:analytics",
    ]  # fmt: skip
    assert not {name(shipped) for name in named} & {name(other) for name in named}
    assert all(name(other).startswith("endocrine:view:shop.:") for name in named)
    assert ViewKeys.of_source("shop.tool-analytics/3", "tool-analytics") == other


def test_the_shipped_prefix_is_that_of_the_settings():
    from endocrine.pipeline.process.settings import Settings

    assert Settings.model_fields["prefix"].default == keys.SHIPPED


async def test_rates_and_idempotency_keys_of_two_deployments_share_no_key():
    from endocrine.pipeline.gateway.rates import Rates
    from endocrine.pipeline.gateway.shared import Shared

    asked = []

    class Redis:
        async def eval(self, script, count, key, *arguments):
            asked.append(key)
            return b"0"

    for prefix in ("endocrine.", "shop."):
        await Rates(Shared(Redis(), prefix)).take("key", 1.0, 1)
    assert len(set(asked)) == 2
