"""Figures of the doors: own share, hops, what a proxy adds, and their targets."""

import asyncio

import pytest

from bench.door_figures import holds, judged, proxy_figures, turn_figures
from bench.gateway import MODEL, completion, turn
from bench.http_load import Connections, Timing, hops_of, load
from bench.litellm_proxy import config, environment
from bench.model_server import _FOUND

HOPS = {"ack": 2.0, "decide": 6.0, "deliver": 1.0}


def answers(*totals, hops=HOPS, status=200, late=False):
    return [Timing(number, total, hops, status, late) for number, total in enumerate(totals)]


def test_the_own_share_is_all_but_what_the_worker_took_and_parse_is_what_no_hop_names():
    found = turn_figures(answers(10.0, 11.0, 12.0, 13.0), (1.5, 3.0))
    assert (found["own_p50"], found["own_p99"]) == (5.0, 7.0)
    assert found["parse_p50"] == 2.0
    assert (found["ack_p99"], found["decide_p99"], found["deliver_p99"]) == (2.0, 6.0, 1.0)
    assert (found["cpu"], found["cpu_others"], found["good"]) == (1.5, 3.0, 1.0)


def test_an_answer_whose_decision_came_late_counts_in_the_total_alone():
    found = turn_figures(answers(10.0, 10.0) + answers(900.0, hops={"ack": 1.0}, late=True), (1.0, 0.0))
    assert found["own_p99"] == 4.0
    assert found["total_p99"] == 900.0


def test_a_proxy_adds_what_the_client_waited_beyond_the_model_server_request_by_request():
    found = proxy_figures(answers(60.0, 80.0, 71.0, 70.0), {0: 50.0, 1: 70.0, 2: 60.0, 3: 60.0}, (1.0, 0.0))
    assert (found["added_p50"], found["added_p99"]) == (10.0, 11.0)
    assert found["rest_p50"] == 1.0
    plain = proxy_figures(answers(60.0, hops={}), {0: 50.0}, (1.0, 0.0))
    assert "rest_p50" not in plain


def test_refused_requests_add_nothing_and_are_not_good():
    found = proxy_figures(answers(60.0) + answers(1.0, status=429), {0: 50.0}, (1.0, 0.0))
    assert (found["added_p99"], found["good"]) == (10.0, 0.5)


def test_a_rate_is_held_when_all_are_answered_and_no_queue_grows():
    assert holds({"good": 1.0, "queue": 1.2})
    assert not holds({"good": 0.999, "queue": 1.0})
    assert not holds({"good": 1.0, "queue": 2.0})


def test_targets_are_met_missed_or_not_measured():
    found = {
        "turns": {"gateway": {"200": {"own_p50": 2.0, "own_p99": 11.0}}},
        "proxy": {
            "gateway": {"50": {"added_p50": 4.0, "added_p99": 9.0}, "300": {"good": 1.0, "queue": 1.0}},
            "litellm": {"50": {"added_p50": 8.0, "added_p99": 8.0}},
        },
    }
    assert [one.met for one in judged(found)] == [True, False, True, False, True]
    assert [one.met for one in judged({})] == [None] * 5


def test_hops_are_those_of_the_header():
    assert hops_of("ack;dur=1.25, decide;dur=3.50, deliver;dur=0.10") == {"ack": 1.25, "decide": 3.5, "deliver": 0.1}
    assert hops_of("cache") == {}


def test_a_request_is_known_to_the_model_server_by_the_marker_in_its_prompt():
    body, headers = completion("sk-x", 1234567)
    assert _FOUND.search(body.decode())[1] == "1234567"
    assert headers["authorization"] == "Bearer sk-x"
    assert turn(1)[0] != turn(2)[0]


def test_the_other_proxy_gets_no_key_of_ours_and_fetches_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    seen = environment(tmp_path)
    assert "secret" not in seen.values()
    assert seen["LITELLM_OFFLINE_MODE"] == "true"
    assert config(MODEL, "http://127.0.0.1:1/v1")["model_list"][0]["litellm_params"]["api_base"].startswith(
        "http://127"
    )


@pytest.mark.parametrize("chunked", [False, True])
async def test_answers_come_in_the_order_of_their_requests_however_they_are_framed(chunked):
    async def serve(reader, writer):
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            framing = b"transfer-encoding: chunked" if chunked else b"content-length: 2"
            body = b"2\r\nok\r\n0\r\n\r\n" if chunked else b"ok"
            writer.write(b"HTTP/1.1 201 Created\r\nserver-timing: ack;dur=0.5\r\n" + framing + b"\r\n\r\n" + body)

    async def guarded(reader, writer):
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    async with server:
        asked = Connections(server.sockets[0].getsockname()[1], "/x")
        found = await load(asked, 500, 0.02, turn, first=7)
        await asked.close()
    assert [timing.number for timing in found] == list(range(7, 17))
    assert {timing.status for timing in found} == {201}
    assert all(timing.hops == {"ack": 0.5} for timing in found)
