"""No call leaves before all are decided, and a forbidden one never, in no byte of the output."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from endocrine.pipeline.gateway.openai.answers import Answer, Delta
from endocrine.pipeline.gateway.openai.call_holder import CallHolder
from endocrine.pipeline.gateway.openai.chat_encoder import ChatStream, completion
from endocrine.pipeline.gateway.openai.conversation import arguments_digest
from endocrine.pipeline.gateway.openai.parsed import ParsedRequest
from endocrine.pipeline.gateway.openai.port import ApplicationRules, Decided, Replied, ReplyCall, TextChunk, TurnHead
from endocrine.pipeline.gateway.openai.responses_encoder import ResponseForm, ResponsesStream
from endocrine.pipeline.gateway.openai.turn_flow import answer_of
from scripted_turns import ScriptedPort, ScriptedTurn, closed


def call(number):
    return ReplyCall(f"id-{number}-x", f"name-{number}-x", {"argument": f"value-{number}-x"})


def decision(number, kind, *, application=True, digest=None):
    found = arguments_digest(call(number).arguments) if digest is None else digest
    reason = None if kind == "allowed" else "not_in_allowlist"
    # Denied calls carry the digest of their arguments, too, as on the topic.
    return Decided(call(number).call_id, kind, reason, application, found)


def holder(count, *decisions, enforce=True):
    found = CallHolder(enforce).replied(Replied("r1", 1, None, tuple(map(call, range(count)))))
    for one in decisions:
        found = found.decided(one)
    return found


def test_nothing_passes_while_one_call_is_undecided():
    assert holder(2, decision(0, "allowed")).state == "waiting"
    assert holder(2, decision(0, "allowed"), decision(1, "pending")).state == "waiting"
    assert holder(2, decision(0, "allowed"), decision(1, "pending")).passed() == ()
    done = holder(2, decision(0, "allowed"), decision(1, "pending"), decision(1, "allowed"))
    assert (done.state, done.passed()) == ("passes", (call(0), call(1)))


def test_a_call_that_was_denied_stays_denied_and_pending_takes_nothing_back():
    assert holder(1, decision(0, "denied"), decision(0, "allowed")).state == "all_denied"
    assert holder(1, decision(0, "allowed"), decision(0, "denied")).state == "all_denied"
    assert holder(1, decision(0, "allowed"), decision(0, "pending")).state == "passes"


def test_our_own_tools_never_pass():
    assert holder(1, decision(0, "allowed", application=False)).state == "own_only"
    both = holder(2, decision(0, "allowed", application=False), decision(1, "allowed"))
    assert both.passed() == (call(1),)
    assert holder(1, decision(0, "denied", application=False), enforce=False).passed() == ()


def test_an_allowed_call_passes_only_with_the_arguments_that_were_checked():
    assert holder(1, decision(0, "allowed", digest="0" * 64)).passed() == ()


def test_under_observe_denied_calls_pass_too_once_they_are_decided():
    assert holder(2, decision(0, "allowed"), enforce=False).passed() == ()
    assert holder(2, decision(0, "allowed"), decision(1, "denied"), enforce=False).passed() == (call(0), call(1))


def test_decisions_that_come_before_the_reply_count():
    early = CallHolder().decided(decision(0, "allowed")).replied(Replied("r1", 1, None, (call(0),)))
    assert early.passed() == (call(0),)


KINDS = st.sampled_from(["allowed", "denied", "pending", "pending allowed", "pending denied", "wrong", "none", "own"])


def decisions_of(number, kind):
    if kind == "none":
        return []
    if kind == "wrong":
        return [decision(number, "allowed", digest="f" * 64)]
    if kind == "own":
        return [decision(number, "allowed", application=False)]
    return [decision(number, one) for one in kind.split()]


@given(
    st.lists(KINDS, min_size=1, max_size=6),
    st.randoms(use_true_random=False),
    st.booleans(),
    st.sampled_from(["buffered", "windowed"]),
    st.integers(1, 40),
)
def test_a_forbidden_call_is_in_no_byte_of_the_output(kinds, random, reply_last, stream, size):
    calls = tuple(call(number) for number in range(len(kinds)))
    queues = [decisions_of(number, kind) for number, kind in enumerate(kinds)]
    script = []
    while any(queues):
        queue = random.choice([queue for queue in queues if queue])
        script.append(queue.pop(0))
        if random.random() < 0.2:
            script.append(script[-1])  # a copy
    text = "I look into it. " * 6
    reply = Replied("r1", 1, text, calls)
    script.insert(len(script) if reply_last else random.randint(0, len(script)), reply)
    pieces = [TextChunk("r1", at // size, text[at : at + size]) for at in range(0, len(text), size)]
    script = [*pieces, *script, closed("The end.")]
    forbidden = {n for n, kind in enumerate(kinds) if kind not in ("allowed", "pending allowed")}
    everything = asyncio.run(played(script, stream))
    undecided = any(kind in ("none", "pending") for kind in kinds)
    for number in range(len(kinds)):
        passes = number not in forbidden and not undecided
        for part in (f"id-{number}-x", f"name-{number}-x", f"value-{number}-x"):
            assert [part.encode() in data for data in everything] == [passes] * len(everything), (part, kinds)


async def played(script, stream):
    """The bytes of all four forms of an answer."""
    rules = ApplicationRules(stream=stream)
    turn = ScriptedTurn(TurnHead("t", "strict", "p", 0), script, port=BrokerPort())
    parsed = ParsedRequest("small", None, (), {})
    chat, responses = ChatStream("t", "small", 0, include_usage=True), ResponsesStream(ResponseForm("t", parsed, 0, {}))
    out = [chat.start(), responses.start()]
    async for one in answer_of(turn, rules, stream=True, withheld="content_filter"):
        for index, encoder in enumerate((chat, responses)):
            out[index] += encoder.text(one.text) if isinstance(one, Delta) else encoder.finish(one)
    async for one in answer_of(turn, rules, stream=False, withheld="content_filter"):
        assert isinstance(one, Answer)
        out.append(repr(completion("t", "small", 0, one)).encode())
        out.append(repr(ResponseForm("t", parsed, 0, {}).completed(one)).encode())
    assert len(out) == 4
    return out


class BrokerPort(ScriptedPort):
    """One that remembers nothing."""

    def __init__(self):
        super().__init__()
        self.replied = Forgetful()


class Forgetful(dict):
    def __getitem__(self, _):
        return Replied("r", 1, None, tuple(map(call, range(8))))


def test_indices_of_passed_calls_begin_at_zero():
    script = [
        Replied("r1", 1, None, tuple(map(call, range(3)))),
        decision(0, "denied"),
        decision(2, "allowed"),
        decision(1, "allowed"),
    ]
    chat = asyncio.run(played(script, "buffered"))[0]
    assert chat.index(b'"index":0,"id":"id-1-x"') < chat.index(b'"index":1,"id":"id-2-x"')
    assert b'"index":2' not in chat


def test_text_beside_passed_calls_is_judged():
    script = [Replied("r1", 1, "The SECRET is out.", (call(0),)), decision(0, "allowed")]
    for data in asyncio.run(played(script, "buffered")):
        assert b"SECRET" not in data
        assert b"id-0-x" in data


def test_a_second_step_may_pass_what_a_first_did_not():
    script = [
        Replied("r1", 1, None, (call(0),)),
        decision(0, "denied"),
        Replied("r2", 2, None, (call(1),)),
        decision(1, "allowed"),
    ]
    for data in asyncio.run(played(script, "buffered")):
        assert b"id-0-x" not in data
        assert b"id-1-x" in data
