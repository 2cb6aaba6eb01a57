"""Schemas and patterns of a policy: what is asserted, what is refused when it loads, and what a value may cost."""

import pytest
from pydantic import TypeAdapter, ValidationError

from endocrine.agents._shared import linear
from endocrine.agents.gating.formats import FORMATS
from endocrine.agents.gating.json_schema import MAX_STEPS, Schema
from endocrine.agents.gating.patterns import MAX_CHARS, MAX_DEPTH, Pattern, checked
from endocrine.agents.gating.rules import ToolRegistry

LOAD = TypeAdapter(Pattern)


def fits(schema, value):
    return Schema(LOAD.validate_python(schema)).is_valid(value)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^a$", "a", True),
        ("^a$", "a\n", False),
        ("a$", "b\na", True),
        ("^a", "b\na", False),
        (r"^\d+$", "12", True),
        (r"^\d+$", "\u0661\u0662", False),
        (r"^\w+$", "a_1", True),
        (r"^\w+$", "\u00e9", False),
        (r"^\s$", " ", True),
        (r"^\s$", "\u00a0", False),
        (r"^[^\s]+$", "a\n", False),
        ("(?i)password", "PassWord", True),
        (r"\p{L}", "\u00e9", True),
        (r"^\/a$", "/a", True),
        ("^.$", "\ud800", True),
    ],
)
def test_a_pattern_means_the_same_wherever_it_is_asked(pattern, text, found):
    assert fits({"pattern": pattern}, text) is found
    assert fits({"patternProperties": {pattern: False}}, {text: 1}) is not found
    assert fits({"patternProperties": {pattern: {}}, "additionalProperties": False}, {text: 1}) is found
    assert fits({"propertyNames": {"pattern": pattern}}, {text: 1}) is found
    assert fits({"not": {"pattern": pattern}}, text) is not found
    assert fits({"items": {"anyOf": [{"pattern": pattern}]}}, [text]) is found


@pytest.mark.parametrize(
    "pattern", [r"(a)\1", "(?=a)", "(?!a)", "(?<=a)b", "(?>a)", "a++", "(", "[", r"\u0041", "a{1,5000}", "x" * 1001]
)
@pytest.mark.parametrize("where", ["pattern", "properties", "patternProperties", "prefixItems", "not", "deep"])
def test_what_cannot_be_run_in_linear_time_is_refused_with_its_place_and_text(pattern, where):
    schema, place = {
        "pattern": ({"pattern": pattern}, "$.pattern"),
        "properties": ({"properties": {"url": {"pattern": pattern}}}, "$.properties.url.pattern"),
        "patternProperties": ({"patternProperties": {pattern: {}}}, "$.patternProperties"),
        "prefixItems": ({"prefixItems": [{}, {"pattern": pattern}]}, "$.prefixItems[1].pattern"),
        "not": ({"if": {"not": {"pattern": pattern}}}, "$.if.not.pattern"),
        "deep": ({"dependentSchemas": {"a": {"items": {"pattern": pattern}}}}, "$.dependentSchemas.a.items.pattern"),
    }[where]
    with pytest.raises(ValidationError) as refused:
        LOAD.validate_python(schema)
    assert place in str(refused.value)
    assert repr(pattern)[1:60] in str(refused.value)


def test_what_a_schema_holds_as_data_or_calls_a_property_is_no_pattern():
    schema = {
        "properties": {"pattern": {"const": {"pattern": "("}}, "format": {"enum": [{"format": "none", "$ref": 1}]}},
        "examples": [{"pattern": "(", "$ref": "http://example.org"}],
        "required": ["$ref"],
    }
    assert fits(schema, {"pattern": {"pattern": "("}, "$ref": 1})


def test_a_hostile_pattern_takes_linear_time():
    for pattern in ("^(a+)+$", "(a|a)*b", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$"):
        assert linear.fault(pattern) is None
        assert not linear.found(pattern, "a" * 60_000 + "!")


@pytest.mark.parametrize(
    "keyword",
    [
        *("$ref", "$dynamicRef", "$recursiveRef", "unevaluatedProperties", "unevaluatedItems", "dependencies"),
        *("additionalItems", "contentEncoding", "contentMediaType", "contentSchema"),
    ],
)
def test_a_keyword_that_would_not_be_asserted_is_refused(keyword):
    with pytest.raises(ValidationError, match=r"is not supported|not a JSON Schema"):
        LOAD.validate_python({"properties": {"a": {keyword: "#/x" if keyword[0] == "$" else {}}}})


def test_a_schema_is_bounded_in_depth_and_size():
    deep = {}
    for _ in range(MAX_DEPTH):
        deep = {"not": deep}
    with pytest.raises(ValueError, match="levels deep"):
        checked(deep)
    checked(deep["not"])
    for schema in ({"enum": list(range(MAX_CHARS))}, {"const": "x" * MAX_CHARS}):
        with pytest.raises(ValueError, match="at most"):
            checked(schema)
    checked({"const": "x" * (MAX_CHARS - len('{"const":""}'))})
    bottomless = {}
    for _ in range(10_000):
        bottomless = {"not": bottomless}
    with pytest.raises(ValueError, match="levels deep"):
        checked(bottomless)


def test_every_open_object_of_a_tools_arguments_is_refused(shipped):
    tools = shipped("tools")
    for part in ({"type": "object"}, {"type": ["object", "null"]}, {"anyOf": [{"type": "object"}]}):
        browser = {**tools["browser"], "arguments": {**tools["browser"]["arguments"], "properties": {"url": part}}}
        with pytest.raises(ValidationError, match=r"properties\.url.*additionalProperties"):
            ToolRegistry.model_validate({**tools, "browser": browser})


def undecided(schema, value):
    return not Schema(schema).is_valid(value) and Schema(schema).may_fit(value)


def test_what_takes_too_many_steps_is_neither_valid_nor_without_a_match():
    assert undecided({"items": {"anyOf": [{"const": number} for number in range(1000)]}}, [999] * 20_000)
    assert undecided({"patternProperties": {f"^k{n}x$": {} for n in range(200)}}, {f"k{n}": 1 for n in range(9000)})
    assert not undecided({"items": {"type": "integer"}}, list(range(MAX_STEPS // 100)))


def test_a_value_deeper_than_the_stack_breaks_nothing():
    value = []
    for _ in range(100_000):
        value = [value]
    for schema in ({"uniqueItems": True}, {"enum": [[[[]]]]}, {"const": [[]]}, {"items": {"uniqueItems": True}}):
        assert Schema(schema).may_fit([value, value]) in (True, False)


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([], True),
        ([1, 2, "1"], True),
        ([1, 1.0], False),
        ([1, True, 0, False], True),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], False),
        ([[1], [1.0]], False),
        ([2**60, 2**60], False),
        ([None, 0, "", [], {}], True),
        (["\ud800", "\ud800"], False),
    ],
)
def test_items_are_unique_as_json_values(items, unique):
    assert fits({"uniqueItems": True}, items) is unique
    assert fits({"uniqueItems": False}, items)


def test_many_items_are_found_unique_without_comparing_each_with_each():
    assert fits({"uniqueItems": True}, [{"a": number} for number in range(15_000)])


@pytest.mark.parametrize(("value", "whole"), [(5, True), (5.0, False), (True, False), ("5", False), (10**30, False)])
def test_an_integer_is_written_as_one(value, whole):
    assert fits({"type": "integer", "maximum": 20}, value) is whole


def test_a_float_of_a_multiple_is_decided_and_huge_ones_break_nothing():
    for value in (0.3, 1e308, 10**300, -0.0):
        assert fits({"multipleOf": 0.1}, value) in (True, False)


GOOD = {
    "date": ["2020-02-29", "1963-06-19"],
    "date-time": ["1963-06-19T08:30:06.283185Z", "1998-12-31T15:59:60.123-08:00", "1963-06-19t08:30:06z"],
    "time": ["08:30:06Z", "23:59:60Z", "01:29:60+01:30", "00:29:60-23:30", "12:34:56-00:00"],
    "duration": ["P4DT12H30M5S", "P2W", "PT0S", "P1M2D", "PT1M2S"],
    "email": ["joe.bloggs@example.com", '"joe b"@example.com', '"\\""@iana.org', "a@[127.0.0.1]", "a@[IPv6:::1]"],
    "hostname": ["www.example.com", "xn--4gbwdl.xn--wgbh1c", "a"],
    "ipv4": ["127.0.0.1"],
    "ipv6": ["::1", "2001:db8::7"],
    "json-pointer": ["", "/a~0b/~1", "/"],
    "regex": ["^a+$"],
    "uri": [
        *("http://foo.bar/?baz=qux#quux", "ldap://[2001:db8::7]/c=GB?objectClass?one", "mailto:John.Doe@example.com"),
        *(
            "urn:oasis:names",
            "http://-.~_!$&'()*+,;=:%40:80%2f::::::@example.com",
            "http://a.com:",
            "file:///etc",
            "a:",
        ),
    ],
    "uuid": ["2EB8AA08-aa98-11ea-b4aa-73b441d16380"],
}
BAD = {
    "date": ["2021-02-29", "20200101", "2020-1-1", "1963-06-1\u09ea"],
    "date-time": ["1998-12-31T23:58:60Z", "1990-02-31T15:59:59Z", "1990-12-31T24:00:00Z", "1963-06-19 08:30:06Z"],
    "time": ["22:59:60Z", "12:00:00", "08:30:06+0130", "1\u09e8:00:00Z", "01:02:03+24:00"],
    "duration": ["P", "PT", "P1YT", "PT1D", "P2D1Y", "P1Y2D", "PT1H2S", "PT0.5S", "P1Y2W"],
    "email": ["2962", ".a@b.c", "a..b@c.d", "a@b@c.d", "a@[127.0.0.300]", "a@b-.c", "a@[]", "a@b.c.", "\u00e9@b.c"],
    "hostname": ["", "-a", "a-", "a_b", "a" * 64, "a..b", ".".join(["a" * 60] * 5)],
    "ipv4": ["1.2.3", "01.2.3.4", "1.2.3.256", "\uff11.2.3.4"],
    "ipv6": ["fe80::1%eth0", "12345::", ":"],
    "json-pointer": ["a", "/~2", "/~"],
    "regex": [r"(a)\1", "("],
    "uri": [
        *("not an address at all", "//foo.bar/", "/abc", "abc", "http:// a.b", "bar,baz:foo", "https://[@a.b/c"),
        *("https://a.b/\u00ae", "http://a.b/%6G", "http://a.b:c/", "http://[::1", "http://[1::2::3]/", "a://b[::1]"),
    ],
    "uuid": ["2eb8aa08aa9811eab4aa73b441d16380", "2eb8aa08-aa98-11ea-b4aa-73b441d1638"],
}


def test_there_are_examples_of_every_format():
    assert set(GOOD) == set(BAD) == set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_asserted(name):
    assert [text for text in GOOD[name] if not fits({"format": name}, text)] == []
    assert [text for text in BAD[name] if fits({"format": name}, text)] == []
    assert [
        text for text in GOOD[name] if name not in ("json-pointer", "regex") and fits({"format": name}, text + "\n")
    ] == []
    assert all(fits({"format": name}, other) for other in (5, 0.5, None, True, [], {}))


@pytest.mark.parametrize("name", FORMATS)
def test_no_text_makes_a_format_take_long(name):
    for text in (
        "a" * 60_000,
        "a." * 30_000,
        "/~0" * 20_000,
        "a@" + "a-" * 30_000,
        '"' + "\\a" * 30_000 + '"@x',
        "\ud800",
    ):
        assert FORMATS[name](text) in (True, False)


@pytest.mark.parametrize("name", ["iri", "idn-email", "uri-template", "phone", "Date", ""])
def test_a_format_that_is_not_known_is_refused(name):
    with pytest.raises(ValidationError, match=r"\$\.properties\.a\.format.*is not checked; known are date"):
        LOAD.validate_python({"properties": {"a": {"format": name}}})
