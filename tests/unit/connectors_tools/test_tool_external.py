"""Tools behind HTTP: retry, breaker, refusals."""

import asyncio

import orjson
import pytest

from endocrine.pipeline.connectors.tools.external import MAX_BYTES, External
from endocrine.pipeline.connectors.tools.handler import Degraded, ToolError


@pytest.fixture
async def service(public_site):
    made = []

    def make(path="/", **options):
        made.append(External(public_site.url(path), wait_s=0.001, **options))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_a_call_is_posted_and_its_json_answer_is_the_output(service, public_site, make_call):
    public_site.pages["/"] = {"body": b'{"degrees": 21}', "content_type": "application/json"}
    answer = await service().run(make_call("weather", {"city": "Bonn\r\nX: y"}))
    assert answer.output == {"degrees": 21}
    method, _, headers, body = public_site.asked[0]
    assert method == "POST"
    assert headers["Idempotency-Key"] == "turn/c1"
    assert orjson.loads(body)["arguments"] == {"city": "Bonn\r\nX: y"}


async def test_an_idempotent_call_is_tried_again_and_another_is_not(service, public_site, make_call):
    public_site.pages["/"] = {"body": b"1"}
    public_site.failing["/"] = 2
    assert (await service().run(make_call())).output == 1
    assert len(public_site.asked) == 3
    public_site.failing["/"] = 1
    with pytest.raises(ToolError, match="503"):
        await service().run(make_call(idempotent=False))
    assert len(public_site.asked) == 4


async def test_after_five_failures_nothing_is_tried_until_the_time_is_over(service, public_site, make_call):
    now = [0.0]
    one = service(clock=lambda: now[0])
    public_site.pages["/"] = {"body": b"1"}
    public_site.failing["/"] = 5
    for _ in range(5):
        with pytest.raises(ToolError, match="503"):
            await one.run(make_call(idempotent=False))
    with pytest.raises(Degraded):
        await one.run(make_call())
    assert len(public_site.asked) == 5
    now[0] = 30.0
    assert (await one.run(make_call())).output == 1
    assert (await one.run(make_call())).output == 1


async def test_a_refusal_is_no_failure_of_the_service(service, public_site, make_call):
    public_site.pages["/"] = {"status": 400}
    one = service(failures=1)
    for _ in range(3):
        with pytest.raises(ToolError, match="400"):
            await one.run(make_call())
    assert len(public_site.asked) == 3


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ({"body": b"{"}, "no JSON"),
        ({"body": b"[" * 200_000}, "no JSON"),
        ({"body": b'"' + b"a" * MAX_BYTES + b'"'}, "more than"),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1/"}}, "302"),
    ],
    ids=["broken", "deep", "long", "redirect"],
)
async def test_an_answer_that_is_none_is_an_error(service, public_site, make_call, page, told):
    public_site.pages["/"] = page
    with pytest.raises(ToolError, match=told):
        await service().run(make_call())


async def test_a_service_that_stalls_times_out_and_counts_as_failed(service, public_site, make_call):
    done = asyncio.Event()

    async def stall(request):
        await done.wait()

    public_site.pages["/"] = stall
    one = service(failures=1)
    try:
        with pytest.raises(TimeoutError):
            await one.run(make_call(timeout_s=0.1))
        with pytest.raises(Degraded):
            await one.run(make_call(timeout_s=0.1))
    finally:
        done.set()


async def test_a_service_that_is_not_there_is_an_error(make_call):
    one = External("http://127.0.0.1:9/", wait_s=0.001)
    with pytest.raises(ToolError, match="not reached"):
        await one.run(make_call())
    await one.close()
