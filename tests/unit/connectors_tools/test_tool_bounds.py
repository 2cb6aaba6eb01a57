"""Whatever a page, a service or a tool sends: read up to a bound, answered, and written within its topic's size."""

import asyncio
import gzip
import html
import tracemalloc
import zlib
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.connectors.contract import LATEST_TS, EffectRecord, Request
from endocrine.pipeline.connectors.effect_runner import EffectRunner, _read
from endocrine.pipeline.connectors.readback import _marked
from endocrine.pipeline.connectors.tools.browser import Browser
from endocrine.pipeline.connectors.tools.external import External
from endocrine.pipeline.connectors.tools.fetch import content_type
from endocrine.pipeline.connectors.tools.handler import Answer, ToolError
from endocrine.pipeline.connectors.tools.page import text_of
from endocrine.pipeline.connectors.tools.results import shown
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.process.settings import Settings
from properties import examples

HOME = "home.example.org"
PAYLOAD = b"a" * (64 << 20)


def at(site, path="/"):
    return f"http://{HOME}:{site.port}{path}"


@pytest.fixture
def browser(fetcher):
    return lambda **options: Browser(fetcher({HOME: [["127.0.0.2"]]}, **options))


@pytest.fixture
async def raw_site():
    """A server on the public address that writes what it is given, byte by byte as it likes. Set `.say`."""
    site = SimpleNamespace(say=None, host="127.0.0.2")

    async def serve(reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            await site.say(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, site.host, 0)
    site.port = server.sockets[0].getsockname()[1]
    site.url = lambda path="/": f"http://{site.host}:{site.port}{path}"
    yield site
    server.close()


# ---- text of pages ----


@pytest.mark.parametrize("digits", [8, 4299, 4300, 5000, 500_000])
@pytest.mark.parametrize("mark", ["&#", "&#x", "&#X"])
def test_a_numbered_character_of_any_length_is_text(mark, digits):
    assert text_of(f"a{mark}{'9' * digits};b") == "a\ufffdb"
    assert text_of(f"a{mark}{'9' * digits}") == "a\ufffd"
    assert text_of(f"a{mark}{'0' * digits}{'41' if mark != '&#' else '65'};b") == "aAb"


@given(st.from_regex(r"(&#[xX]?[0-9a-fA-F]{0,9};?[ a;&#]?){1,5}", fullmatch=True))
def test_numbered_characters_read_as_browsers_read_them(text):
    known = html.unescape(text)
    if "\n" not in known and "\r" not in known:
        # What is beyond the last character is dropped by one reader and marked by the other.
        strip = dict.fromkeys([0xFFFD, 0x20, 0xA0, 0x0C, 0x0B, 0x09, *map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad")])
        strip |= dict.fromkeys(range(917504, 917632))
        assert text_of(text.replace("<", "")).translate(strip) == known.translate(strip)


@settings(max_examples=examples(120))
@given(st.text(st.sampled_from("<>/!-&#x;0123456789abcnpscriptlhead\"'= \n\x00\ud800\u200b\xa0"), max_size=300))
def test_no_page_fails_and_its_text_can_be_written(page):
    assert len(text_of(page).encode()) <= 4 * len(page)


# ---- fetching ----


@pytest.mark.parametrize(
    "header",
    ["(" * 8000, "text/html; " + "a=b; " * 1500, 'text/plain; charset="', "text/plain; charset*=utf-8''%",
     "text/html;" * 800, "text/plain; charset*0=ut; charset*1=f-16", ";", "/", "text/",
     "TEXT/PLAIN ; CHARSET = 'utf-16'", "\udc80/\udcff"],
    ids=lambda header: header[:24].encode("utf-8", "replace").decode(),
)  # fmt: skip
def test_a_content_type_of_any_shape_is_read(header):
    media_type, charset = content_type(header)
    assert len(media_type) <= 150
    assert len(charset) <= 40


@given(st.text(st.characters(codec=None), max_size=200))
def test_no_content_type_fails(header):
    content_type(header)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "x-gzip", "GZIP"])
async def test_what_was_packed_is_never_unpacked(public_site, browser, make_call, coding):
    body = gzip.compress(PAYLOAD) if "gzip" in coding.lower() else zlib.compress(PAYLOAD)
    headers = {"Content-Type": "text/html", "Content-Encoding": coding}
    public_site.pages["/"] = {"body": body, "headers": headers}
    external = External(public_site.url())
    tracemalloc.start()
    try:
        with pytest.raises(ToolError, match="compressed"):
            await browser().run(make_call("browser", {"url": at(public_site)}))
        with pytest.raises(ToolError, match="compressed"):
            await external.run(make_call())
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
        await external.close()


ENDLESS = {
    "header lines": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 500),
    "one header line": (b"HTTP/1.1 200 OK\r\nX-A: ", b"b" * 4000),
    "a status line": (b"HTTP/1.1 200 ", b"b" * 4000),
    "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
    "a chunk's extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 4000),
    "trailers": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 500
    ),
    "small chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 500
    ),
    "nothing that is HTTP": (b"", b"\x00\xff" * 2000),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDLESS)
async def test_an_answer_without_end_is_cut_or_refused(raw_site, browser, make_call, case):
    first, more = ENDLESS[case]

    async def say(writer):
        writer.write(first)
        while True:
            writer.write(more)
            await writer.drain()

    raw_site.say = say
    external = External(raw_site.url(), wait_s=0.001)
    tracemalloc.start()
    try:
        for handler, call in (
            (browser(total_s=0.5), make_call("browser", {"url": at(raw_site)})),
            (external, make_call(timeout_s=0.5, idempotent=False)),
        ):
            try:
                answer = await handler.run(call)
            except (ToolError, TimeoutError):
                continue
            assert len(orjson.dumps(answer.output)) < 3_000_000
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
        await external.close()


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 O", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99999\r\n\r\n"]
)
async def test_an_answer_that_drips_is_given_up(raw_site, browser, make_call, head):
    async def say(writer):
        writer.write(head)
        while True:
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(0.01)

    raw_site.say = say
    external = External(raw_site.url(), wait_s=0.001)
    with pytest.raises(TimeoutError):
        await browser(total_s=0.2).run(make_call("browser", {"url": at(raw_site)}))
    with pytest.raises(TimeoutError):
        await external.run(make_call(timeout_s=0.2, idempotent=False))
    await external.close()


LIES = {
    "shorter than it says": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nabc",
    "a wrong charset": b"HTTP/1.1 200 A\r\nContent-Type: text/html;charset=utf-16\r\nContent-Length: 2\r\n\r\n\xff\xd8",
    "null bytes": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\na\x00\x00b\x00",
    "surrogates": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n\xed\xa0\x80\xed\xbf\xbf",
    "a broken chunk": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length below nothing": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
    "a place that is none": b"HTTP/1.1 302 Found\r\nLocation: http://[\xff\xfe\r\nContent-Length: 0\r\n\r\n",
    "a place that is itself": b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "a status that is none": b"HTTP/1.1 999999999999999999999 OK\r\n\r\n",
    "cookies": b"HTTP/1.1 200 OK\r\nSet-Cookie: " + b'a="' * 2000 + b"\r\nContent-Length: 0\r\n\r\n",
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("case", LIES)
async def test_an_answer_that_lies_is_an_error_or_text_that_can_be_written(raw_site, browser, make_call, case):
    async def say(writer):
        writer.write(LIES[case])
        await writer.drain()

    raw_site.say = say
    external = External(raw_site.url(), wait_s=0.001)
    for handler, call in (
        (browser(), make_call("browser", {"url": at(raw_site)})),
        (external, make_call(idempotent=False)),
    ):
        try:
            orjson.dumps((await handler.run(call)).output)
        except (ToolError, TimeoutError):
            continue
    await external.close()


# ---- what is written ----

EVIL = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=40) | st.sampled_from(
        [2**64, -(2**63) - 1, 10**400, "\x00" * 400, "\ud800" * 50, "a" * 3000]
    ),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=300), inner, max_size=6),
    max_leaves=40,
)  # fmt: skip


@settings(max_examples=examples(100))
@given(output=EVIL, chars=st.integers(100, 20_000), most=st.integers(4096, 30_000))
def test_an_output_fits_its_bytes_and_can_be_written(rules, output, chars, most):
    assert len(orjson.dumps(shown(output, rules, chars, most))) <= most


@pytest.mark.parametrize("output", [[[]] * 100_000, [{}] * 100_000, {"a" * 10_000: "\x00" * 500_000}, [""] * 100_000])
def test_an_output_of_many_nothings_is_cut_too(rules, output):
    assert len(orjson.dumps(shown(output, rules, 200_000, 1 << 20))) <= 1 << 20
    assert len(orjson.dumps(shown(output, rules, 1_000))) < 8_000


def test_nesting_of_any_depth_is_cut(rules):
    deep = "x"
    for _ in range(900):
        deep = [deep]
    orjson.dumps(shown(deep, rules, 1_000))


@pytest.mark.parametrize("chars", [16_000, 200_000])
async def test_a_result_is_never_longer_than_is_read(make_effect, a_call, a_request, chars):
    class Tool:
        async def run(self, call):
            return Answer("\x00" * 2_000_000)

    effect, calls = make_effect({"retrieval": Tool()}, output_chars=chars)
    names = {"call_id": "\x01" * 256, "audit_id": "\x02" * 256, "identity": "\x03" * 256}
    calls.add(a_call(**names))
    (said,) = await effect.run(a_request(a_call(**names), "retrieval"))
    assert len(orjson.dumps(said.value)) <= Settings().max_record_bytes
    assert said.value["status"] == "ok"


class Loud:
    """An effect whose answer is what it is given."""

    name, requests, answers = "tools", "tool-decisions", "tool-results"

    def __init__(self, failed):
        self._failed = failed

    def failed(self, request, error):
        return self._failed(error)


UNWRITABLE = {
    "too long": "a" * (1 << 20),
    "surrogates": "\ud800",
    "a long number": 2**70,
    "levels": [[]],
}
for _ in range(400):
    UNWRITABLE["levels"] = [UNWRITABLE["levels"]]


@pytest.mark.parametrize("case", UNWRITABLE)
async def test_what_cannot_be_written_is_answered_with_an_error_instead(case):
    request = Request({"ts": 1.0}, "ann", 0, 0, 0.0)
    said = [EffectRecord("scheduled-tasks", {"a": 1}), EffectRecord("tool-results", {"output": UNWRITABLE[case]})]
    runner = EffectRunner(Settings(), Loud(lambda error: [EffectRecord("tool-results", {"error": error})]))
    (instead,) = runner._writable(request, said)
    assert "tool-results record" in instead.value["error"]
    assert EffectRunner(Settings(), Loud(lambda error: said))._writable(request, said) == ()
    assert runner._writable(request, said[:1]) == said[:1]


def test_an_answer_lies_before_the_year_10000():
    assert Request({"ts": 253_402_300_799.9}, "ann", 0, 0, 1e9).ts_now() == LATEST_TS


DECISION = {
    "call_id": "c", "audit_id": "t", "identity": "ann", "function": "f", "tool": None, "decision": "denied",
    "reason": "unknown_tool", "incident_id": None, "policy": "0" * 64, "ts": 1.0,
}  # fmt: skip
SEALS = simulated_seals()
TRACE = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"


@pytest.mark.parametrize("trace", [b"x" * 4_000_000, b"", b"\xff\xfe", TRACE + b"\n", TRACE.upper(), b"ff" + TRACE[2:]])
def test_a_traceparent_that_is_none_is_not_passed_on(trace):
    def read(content):
        value = orjson.dumps(DECISION)
        headers = [("traceparent", content), ("endocrine-seal", SEALS.seal("tool-decisions", 0, b"ann", value, None))]
        return _read(Fetched(0, 0, 1000, b"ann", value, headers), "tool-decisions", SEALS)

    assert read(trace).traceparent is None
    assert read(None).traceparent is None
    assert read(TRACE).traceparent == TRACE


def test_a_decision_without_a_seal_of_ours_is_no_request():
    raw = Fetched(0, 0, 1000, b"ann", orjson.dumps(DECISION), [("endocrine-seal", b"simulated:00")])
    assert _read(raw, "tool-decisions", SEALS) is None
    assert _read(raw._replace(headers=()), "tool-decisions", SEALS) is None


@pytest.mark.parametrize(
    "value", [b"", b"[" * 3000, b"null", b"7", b'{"ts": 1e999}', b"\xff", b'{"decision": {}}', None]
)
def test_what_is_no_request_is_passed_over_and_its_content_is_not_logged(value, capsys):
    canary = orjson.dumps(DECISION | {"reason": "canary-1234"})
    for content in (value, canary):
        headers = [("endocrine-seal", SEALS.seal("tool-decisions", 0, b"ann", content, None))]
        assert _read(Fetched(0, 0, 1000, b"ann", content, headers), "tool-decisions", SEALS) is None
    told = capsys.readouterr()
    assert "canary-1234" not in told.out + told.err


@pytest.mark.parametrize(
    "value", [{}, {"connector": "tools"}, {"connector": "tools", "effect_id": []}, {"effect_id": "x"}]
)
def test_a_start_mark_that_is_none_marks_nothing(value):
    assert _marked(value, "tools") is None
    assert _marked({"connector": "tools", "effect_id": "x"}, "tools") == "x"


async def test_the_message_of_a_fault_is_not_logged(make_effect, a_call, a_request, capsys):
    class Broken:
        async def run(self, call):
            raise ValueError("canary-1234")

    effect, calls = make_effect({"retrieval": Broken()})
    calls.add(a_call())
    await effect.run(a_request(a_call(), "retrieval"))
    told = capsys.readouterr()
    assert "ValueError" in told.out + told.err
    assert "canary-1234" not in told.out + told.err
