"""Trees that are not as they should be, and files that are cut off."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from properties import examples

ASK = "What does the harbour look like at night?"


def node(parent, role=None, text=None, ts=None, **more):
    message = None
    if role:
        content = {"content_type": "text", "parts": [text]}
        message = {"author": {"role": role}, "content": content, "create_time": ts, **more}
    return {"parent": parent, "children": [], "message": message}


def chat(mapping, current="a", **more):
    return {"conversation_id": "c1", "create_time": 50.0, "mapping": mapping, "current_node": current, **more}


def simple(**more):
    return chat(
        {"r": node(None), "u": node("r", "user", ASK, 100.0), "a": node("u", "assistant", "Dark.", 101.0)}, **more
    )


def test_a_file_may_hold_one_conversation_or_many(read):
    one = orjson.dumps(simple())
    assert read(one, "chatgpt-export").lines == read(b"[" + one + b"]", "chatgpt-export").lines
    assert read(b"\xef\xbb\xbf\n " + one, "chatgpt-export").prompts == [ASK]
    assert read(b"[]", "chatgpt-export").refusals == []
    assert read(b"", "chatgpt-export").refusals == []


@pytest.mark.parametrize(
    ("mapping", "current", "prompts", "said"),
    [
        ({"u": node("a", "user", ASK), "a": node("u", "assistant", "x")}, "a", [], "lead back"),
        ({"u": node("a", "user", ASK), "a": node("u", "assistant", "x")}, None, [], "expected a tree"),
        ({"u": node("gone", "user", ASK), "a": node("u", "assistant", "x")}, "a", [ASK], "'gone' is not in `mapping`"),
        ({"r": node(None), "u": 7, "a": node("r", "user", ASK)}, "a", [ASK], None),
        ({"u": {"parent": None, "message": "hello"}, "a": node("u", "user", ASK)}, "a", [ASK], "message is a string"),
        ({"u": {"parent": None, "message": {"author": {}}}, "a": node("u", "user", ASK)}, "a", [ASK], "author.role"),
        ({}, "a", [], None),
    ],
)
def test_a_broken_tree_costs_what_is_broken(read, mapping, current, prompts, said):
    got = read(orjson.dumps([chat(mapping, current), simple(conversation_id="c2")]), "chatgpt-export")
    assert got.prompts in ([*prompts, ASK], [ASK, *prompts])
    assert ([said in refusal for refusal in got.refusals] == [True]) if said else not got.refusals


@pytest.mark.parametrize("current", [None, "nowhere", 7, ["a"]])
def test_without_a_current_node_the_latest_leaf_is_taken(read, current):
    mapping = simple()["mapping"] | {"old": node("u", "assistant", "An older answer.", 99.0)}
    got = read(orjson.dumps(chat(mapping, current)), "chatgpt-export")
    assert got.responses == ["Dark."]
    assert got.noted["current_node missing"] == 1


def test_what_answers_a_message_that_could_not_be_read_is_not_taken_for_another_answer(read):
    mapping = simple()["mapping"] | {
        "broken": {"parent": "a", "message": {"author": {"role": "user"}, "content": "?"}},
        "stray": node("broken", "assistant", "An answer to the broken one.", 103.0),
    }
    got = read(orjson.dumps(chat(mapping, "stray")), "chatgpt-export")
    assert got.responses == ["Dark."]
    assert "node broken" in got.refusals[0]
    assert got.noted == {"reply after a refused entry": 1}


@pytest.mark.parametrize(
    ("ts", "seen"),
    [(100, 100.0), ("1970-01-01T00:02:00Z", 120.0), ("130.5", 130.5), (None, 50.0), (-1, 50.0), ("later", 50.0)],
)
def test_times_are_read_in_every_form_and_filled_in_where_missing(read, ts, seen):
    mapping = {"u": node(None, "user", ASK, ts), "a": node("u", "assistant", "Dark.")}
    got = read(orjson.dumps(chat(mapping)), "chatgpt-export")
    assert [v["ts"] for v in got.values] == [seen, seen]


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        (b'[%s, {"mapping": {"a": ', "conversation 2: the file ends in the middle"),
        (b"[%s", "without the closing ]"),
        (b"[%s, nonsense, %s]", "after conversation 1: found 'nonsense'"),
        (b"[%s] trailing", "'trailing' follows"),
        (b'[%s, {"mapping": nope}]', "conversation 2: is not JSON"),
        (b"[%s, [1, 2]]", "conversation 2: is a list"),
        (b'[%s, {"title": "x"}]', "conversation 2: has no object `mapping`"),
        (b'[%s, {"mapping": {"a": "\xff"}}]', "conversation 2, node a: the message is a string"),
    ],
)
def test_a_broken_file_keeps_the_conversations_that_are_whole(read, tail, said):
    good = orjson.dumps(simple())
    got = read(tail.replace(b"%s", good), "chatgpt-export")
    assert got.prompts == [ASK]
    assert len(got.refusals) == 1
    assert said in got.refusals[0]


def test_one_conversation_twice_is_counted_as_duplicate(read):
    good = orjson.dumps(simple())
    got = read(b"[" + good + b"," + good + b"]", "chatgpt-export")
    assert got.prompts == [ASK]
    assert got.skipped == {"duplicate": 1}


def test_something_else_than_json_is_refused_with_what_was_found(read):
    got = read("You said:\nhello", "chatgpt-export")
    assert got.refusals == ["in:1: begins with 'You said:\\nhello'; expected a JSON array of conversations"]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NODES = st.dictionaries(
    st.sampled_from("abcd"),
    st.fixed_dictionaries(
        {
            "parent": st.sampled_from(["a", "b", "c", "d", None, "zz"]) | JSON,
            "message": st.none()
            | JSON
            | st.fixed_dictionaries(
                {
                    "author": st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool"]) | JSON}),
                    "content": st.fixed_dictionaries({"parts": st.lists(st.text(max_size=30) | JSON, max_size=2)})
                    | JSON,
                    "create_time": JSON | st.floats(0, 1e9),
                    "metadata": JSON,
                }
            ),
        }
    )
    | JSON,
)


@settings(max_examples=examples(100), deadline=None)
@given(mapping=NODES, current=st.sampled_from("abcd") | JSON, stop=st.integers(0, 400))
def test_no_tree_and_no_cut_breaks_the_reader(read, mapping, current, stop):
    raw = orjson.dumps([simple(), chat(mapping, current, conversation_id="c2")])
    assert ASK in read(raw, "chatgpt-export").prompts
    read(raw[:stop], "chatgpt-export")
