"""Which records of a topic a filter keeps, what an expression may do, and what it says when it is wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.console.browsing.expression import Expression
from endocrine.pipeline.console.browsing.filters import field_fits, filter_of
from endocrine.pipeline.console.browsing.query import Browse, browse_of
from endocrine.pipeline.gateway.problems import Problem
from properties import examples
from topic_records import caller, raw

VALUE = b'{"identity":"ann","kind":"opened","prompt":"secret plan","level":0.5,"tags":["a","b"]}'


async def kept(browse, *records, scopes=("read", "content")):
    async with filter_of(caller(*scopes), browse) as meant:
        return [one.offset for one in await meant.kept(records)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"key": "ann"}, [0]),
        ({"contains": "plan"}, [0]),
        ({"field": "kind", "equals": "opened"}, [0]),
        ({"field": "tags", "equals": "b"}, [0]),
        ({"field": "level"}, [0]),
        ({"field": "absent"}, []),
        ({"where": "value.level > 0.4 && key == 'ann'"}, [0]),
        ({"where": "has(value.level) || offset == 1"}, [0, 1]),
        ({"where": "headers['ce_id'] == 'e0'"}, [0]),
        ({"where": "timestamp > 1.0 && partition == 0", "key": "bob"}, [1]),
    ],
)
async def test_a_filter_keeps_the_records_that_fit(wanted, expected):
    records = (raw(0, "ann", VALUE, {"ce_id": b"e0"}), raw(1, "bob", b"{}", {"ce_id": b"e1"}), raw(2, None, None, {}))
    assert await kept(Browse("interactions", **wanted), *records) == expected


@pytest.mark.parametrize("wanted", [{"field": "prompt"}, {"where": "has(value.prompt)"},
                                    {"where": "string(value.prompt).contains('plan')"}])  # fmt: skip
async def test_a_filter_finds_nothing_by_what_its_reader_may_not_see(wanted):
    record = raw(0, "ann", VALUE, {})
    assert await kept(Browse("interactions", **wanted), record) == [0]
    assert await kept(Browse("interactions", **wanted), record, scopes=("read",)) == []


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("value.level >", "where: column 14: mismatched input '<EOF>'"),
        ("key == 'a", "where: column 8: token recognition error"),
        ("key ==\n 'a' &&& 1", "where: line 2, column 8"),
        ("valeu.level > 1", "where: column 1: nothing is named 'valeu'; there are key, value"),
        ("value.name == nam", "where: column 15: nothing is named 'nam'"),
        ("1 + 1", "where: the expression is of type int; expected true or false"),
        ("(" * 400, "where: "),
        ("open('/etc/passwd') == ''", "where: column 1: nothing is named 'open'"),
    ],
)
async def test_a_wrong_expression_is_refused_with_the_place_of_the_mistake(expression, says):
    with pytest.raises(Problem) as caught:
        await kept(Browse("interactions", where=expression), raw(0, "ann", b'{"name":"x"}', {}))
    assert caught.value.status == 422
    assert caught.value.detail.startswith(says), caught.value.detail


async def test_an_expression_that_asks_for_too_much_memory_is_ended_and_says_so():
    grow = "[value.text]" + ".map(x, x + x + x + x + x + x + x + x + x + x + x + x + x + x + x + x)" * 6
    with pytest.raises(Problem, match="more time or memory"):
        await kept(
            Browse("interactions", where=f"{grow}[0] == ''"), raw(0, "ann", b'{"text":"%b"}' % (b"x" * 9999), {})
        )


async def test_an_expression_that_asks_for_too_much_time_is_ended_and_says_so(monkeypatch):
    from endocrine.pipeline.console.browsing import expression

    monkeypatch.setattr(expression, "LONGEST_S", 0.5)
    numbers = b"[" + b",".join([b"1"] * 20_000) + b"]"
    nested = "value.l.all(x, value.l.all(y, value.l.all(z, x + y + z > 0)))"
    with pytest.raises(Problem, match="more time or memory"):
        await kept(Browse("interactions", where=nested), raw(0, "ann", b'{"l":%b}' % numbers, {}))


async def test_records_that_an_expression_has_no_answer_for_are_left_out_and_counted():
    async with Expression("value.level > 0") as one:
        assert await one.true_of([{"value": {"level": 1}}, {"value": {}}, {"value": {"level": "x"}}]) == [
            True,
            False,
            False,
        ]
        assert one.failed == 2
        assert "level" in one.reason


async def test_no_more_expressions_run_at_once_than_there_is_room_for(monkeypatch):
    from endocrine.pipeline.console.browsing import expression

    monkeypatch.setattr(expression, "MOST_AT_ONCE", 1)
    async with Expression("true"):
        with pytest.raises(Problem, match="run already"):
            async with Expression("true"):
                pass
    async with Expression("true") as again:
        assert await again.true_of([{}]) == [True]


NESTED = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@settings(max_examples=examples(100))
@given(NESTED, st.text(max_size=20))
def test_any_field_of_any_value_is_answered(value, path):
    assert field_fits(value, path, None) in (True, False)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"offset": "3"}, "offset"),
        ({"partition": "x"}, "partition"),
        ({"partition": "9" * 30}, "partition"),
        ({"since": "yesterdayish"}, "since"),
        ({"before": "0-1..2"}, "before"),
        ({"after": "x"}, "after"),
        ({"equals": "x"}, "field"),
        ({"where": "x" * 501}, "where"),
    ],
)
def test_a_query_that_cannot_be_read_names_its_field(query, field):
    with pytest.raises(Problem) as caught:
        browse_of("audits", query)
    assert caught.value.field == field
