"""A blocked text, split anywhere: which bytes of it a client of the endpoint gets, by the shipped rules."""

import asyncio
from itertools import pairwise

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from endocrine.agents.moderation.local import judge, judge_piece
from endocrine.pipeline.gateway.openai.endpoint import Endpoint
from endocrine.pipeline.gateway.openai.port import ApplicationRules, Caller, Replied, TextChunk
from endocrine.pipeline.process.policy_files import load_policy
from properties import examples
from scripted_turns import SENTENCE, ScriptedPort, ScriptedTurn, closed

RULES = load_policy(None, {}).document.moderation
SPAN = RULES.longest_span("output")
TOKEN = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dF4gH6"
FORBIDDEN = [
    "I WILL FIND YOU WHEREVER",
    TOKEN,
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    "I W\u200bILL F\u200bIND Y\u200bOU WHEREVER",
    "ＩＷ ＫＩＬＬ ＹＯＵＲＳＥＬＦ",
    "K I L L  Y O U R S E L F",
]
"""Of characters that nothing beside it has, so that any piece of it shows."""
PIECE = 6
"""Characters of a piece of it that nothing else in an answer has by chance."""
HARMLESS = ["fine. ", "and so on, ", "schön, ", "日本語 ", "the bomb shelter is open. ", "please wait. " * 50]


class RuledTurn(ScriptedTurn):
    """A scripted turn under the shipped rules."""

    span = SPAN

    def blocks(self, text):
        return judge(text, "output", "standard", RULES).blocked

    def blocks_piece(self, text):
        return judge_piece(text, "output", "standard", RULES).blocked


class RuledPort(ScriptedPort):
    def _turn(self, *arguments):
        turn = super()._turn(*arguments)
        return RuledTurn(turn.head, turn.script, turn.enforce, SPAN, self)


async def asked(path, stream, script):
    """(everything that a client gets, the text of it) of a turn with these events."""
    port = RuledPort({"hello": script}, application=ApplicationRules(stream=stream))
    port.callers = {"good": Caller("shop", frozenset({"capture"}))}
    routes = Endpoint(port, lambda: 0.0, lambda: "request-1").routes()
    body = {"model": "small", "stream": True}
    body |= {"messages": [{"role": "user", "content": "hello"}]} if path == "chat/completions" else {"input": "hello"}
    transport = httpx.ASGITransport(Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        answer = await client.post(f"/openai/v1/{path}", json=body, headers={"authorization": "Bearer good"})
    assert answer.status_code == 200
    text = ""
    for line in answer.text.splitlines():
        if line.startswith("data: {"):
            event = orjson.loads(line[len("data: ") :])
            if event.get("type") == "response.output_text.delta":
                text += event["delta"]
            text += "".join(choice["delta"].get("content") or "" for choice in event.get("choices") or ())
    return answer.content, text


def events(text, cuts, calls):
    places = [0, *sorted({cut % (len(text) + 1) for cut in cuts}), len(text)]
    chunks = [TextChunk("r1", seq, text[a:b]) for seq, (a, b) in enumerate(pairwise(places))]
    return [*chunks, Replied("r1", 1, text, calls), closed(SENTENCE, "output_blocked")]


@given(
    st.lists(st.sampled_from(HARMLESS), max_size=6),
    st.sampled_from(FORBIDDEN),
    st.lists(st.sampled_from(HARMLESS), max_size=6),
    st.lists(st.integers(0, 4000), max_size=40) | st.just(range(4000)),
    st.sampled_from(["chat/completions", "responses"]),
    st.sampled_from(["buffered", "windowed"]),
)
@settings(max_examples=examples(60))
def test_not_one_byte_of_a_blocked_text_leaves_however_it_is_split(before, forbidden, after, cuts, path, stream):
    head = "".join(["well, ", *before])
    whole = f"{head}{forbidden} {''.join(after)}"
    assert judge(whole, "output", "standard", RULES).blocked
    content, text = asyncio.run(asked(path, stream, events(whole, cuts, ())))
    assert text.endswith(SENTENCE)
    left = text.removesuffix(SENTENCE).rstrip("\n")
    assert whole.startswith(left)
    assert len(left) <= (len(head) if stream == "windowed" else 0), "beyond the window's promise"
    for at in range(len(forbidden) - PIECE + 1):
        assert forbidden[at : at + PIECE].encode() not in content


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_the_window_of_a_stream_lets_harmless_text_out_while_it_comes(path):
    whole = "please wait. " * 200
    script = [*events(whole, range(4000), ())[:-2]]
    _, text = asyncio.run(asked(path, "windowed", script))  # the turn ends without an answer: an error follows the text
    assert whole.startswith(text)
    assert len(whole) - len(text) <= SPAN + 48
