"""Bounds of the endpoint, and headers that no value breaks out of; asked by hand."""

import httpx2
import pytest

from endocrine.pipeline.gateway.openai.answer_headers import MAX_BYTES, compact, head_headers, header_text, metadata_of
from endocrine.pipeline.gateway.openai.port import TurnHead
from endocrine.pipeline.gateway.openai.refusals import KINDS, Refused

BODY = {"model": "small", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def http(base_url):
    with httpx2.Client(base_url=base_url, headers={"authorization": "Bearer good"}) as made:
        yield made


def code(answer):
    assert answer.headers["x-request-id"].startswith("request-")
    assert set(answer.json()) == {"error"}
    return answer.status_code, answer.json()["error"]["code"]


def test_a_body_beyond_its_bound_is_refused_whatever_it_declares(http):
    big = b'{"model": "' + b"x" * (1 << 20) + b'"}'
    assert code(http.post("/chat/completions", content=big)) == (413, "request_too_large")
    assert code(http.post("/responses", content=iter([big[:600_000], big[600_000:]]))) == (413, "request_too_large")


def test_headers_beyond_their_bound_are_refused(http):
    many = {f"x-{number}": "y" * 900 for number in range(40)}
    assert code(http.post("/chat/completions", json=BODY, headers=many)) == (431, "headers_too_large")


def test_what_is_no_json_is_refused(http):
    assert code(http.post("/chat/completions", content=b"{")) == (400, "invalid_json")
    assert code(http.post("/responses", content=b"[]")) == (400, "invalid_json")


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "br", "x-unknown"])
def test_a_compressed_body_is_named_as_that_and_not_called_malformed(http, encoding):
    answer = http.post("/chat/completions", content=b"\x1f\x8b", headers={"content-encoding": encoding})
    assert code(answer) == (400, "unsupported_parameter")
    assert answer.json()["error"]["param"] == "content-encoding"
    assert http.post("/chat/completions", json=BODY, headers={"content-encoding": "identity"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/chat/completions"),
        ("DELETE", "/models/small"),
        ("POST", "/models"),
        ("GET", "/nothing"),
        ("POST", "/chat/completions/x/messages"),
        ("OPTIONS", "/responses"),
    ],
)
def test_anything_else_is_unknown(http, method, path):
    assert code(http.request(method, path)) == (404, "unknown_url")


def test_idempotency_keys_and_digests_of_bodies_reach_the_core(http, port):
    for _ in range(2):
        http.post("/chat/completions", json=BODY, headers={"idempotency-key": "k1"})
    one, other = port.opened
    assert one.idempotency_key == other.idempotency_key == "k1"
    assert one.body_digest == other.body_digest != ""


def test_header_values_are_ascii_and_bounded():
    assert header_text("a\r\nset-cookie: x\x00ü" + "y" * 999) == ("a??set-cookie: x??" + "y" * 999)[:MAX_BYTES]
    long = {"temperature": 0.5, "reasoning_effort": "x" * 600, "seed": 1, "stop": ["private"]}
    assert compact(long) == '{"temperature":0.5,"seed":1}'
    assert compact({"reasoning_effort": "hü\r\n"}) == "{}"
    head = TurnHead("a\nb", "strict", "p", 3, would=("denied",), not_offered=("wetter", "zeit\n"), advice="late",
                    timing_ms={"ack": 1.25, "decide": 3})  # fmt: skip
    found = head_headers(head)
    assert found["endocrine-audit-id"] == "a?b"
    assert found["endocrine-would"] == "denied"
    assert found["endocrine-not-offered"] == "wetter,zeit?"
    assert found["endocrine-advice"] == "late"
    assert found["server-timing"] == "ack;dur=1.2, decide;dur=3.0"
    assert all(value.isascii() and value.isprintable() for value in found.values())


def test_metadata_are_bounded_texts():
    found = metadata_of({"finish": "x" * 600, "denied": {"a": 1}, "revision": 3})
    assert found == {"endocrine-finish": "x" * 512, "endocrine-denied": '{"a":1}', "endocrine-revision": "3"}


def test_what_may_be_tried_again_is_what_the_specification_says():
    for name in ("insufficient_quota", "decision_timeout", "model_rate_limited", "model_error", "model_timeout"):
        assert Refused(name).headers()["x-should-retry"] == "false"
    assert "x-should-retry" not in Refused("rate_limited").headers()
    assert Refused("rate_limited", retry_after_ms=1001).headers() == {"retry-after": "2", "retry-after-ms": "1001"}
    assert {kind.status for kind in KINDS.values()} >= {400, 401, 403, 404, 413, 422, 429, 431, 502, 503, 504}
