"""Image parts through the OpenAI-compatible endpoint on Kafka: the official client, and what the model got of them."""

import asyncio
import base64
import contextlib
import hashlib
import random
import time

import openai
import orjson
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from effects import answers, produce, running
from endocrine.pipeline.connectors.model.main import model_effect
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from endocrine.pipeline.process.policy_files import load_policy
from endocrine.pipeline.process.seal_keys import load_seals
from endocrine.schemas.images import image_note
from gateway_serving import forget, served, stack
from openai_stack import POLICY, TOOLS, client_of, script

pytestmark = pytest.mark.asyncio(loop_scope="module")
MODEL, OF_RESPONSES = "scripted", "gpt-4.1-mini"
"""Models of the shipped policy that are asked through either API."""
RANDOM = random.Random(7)
PNG = b"\x89PNG\r\n\x1a\n" + RANDOM.randbytes(1000)
JPEG = b"\xff\xd8\xff\xe0" + RANDOM.randbytes(999)
LARGE = b"RIFF\0\0\0\0WEBP" + RANDOM.randbytes(2_000_000)
"""More than a record may have, and than a body without images."""
PHOTO = "https://photos.example/bonn.jpg?signature=abc"
POLICIES = """
  blind: {images: none}
  watched: {images: none}
  careful: {images: data}
"""


def data_url(content, kind="png"):
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model():
    async with ScriptedServer(script()) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(module_settings, model, tmp_path_factory):
    """A gateway, a worker, and a connector that asks the script."""
    path = tmp_path_factory.mktemp("policy") / "images.yaml"
    path.write_text(
        POLICY.replace('["gpt-*"]', '["*"]').replace(
            "budget: {limit: 20000}", POLICIES.strip("\n") + "\nbudget: {limit: 200000}"
        )
    )
    policy = load_policy(path)
    settings = ModelSettings(base_url=model.base_url, api_key="any", tries=1, breaker_failures=1000)
    asking = model_effect(module_settings, settings, policy, load_seals(module_settings))
    async with contextlib.AsyncExitStack() as ending:
        await ending.enter_async_context(stack(module_settings, policy=policy))
        ending.push_async_callback(asking.close)
        await ending.enter_async_context(running(module_settings, asking))
        door = await ending.enter_async_context(served(module_settings, policy=policy))
        door.policy = policy
        yield door
    await forget(module_settings)


@pytest.fixture
def client(door, who):
    return client_of(door, who)


def shown(*parts):
    """A user's message: texts, and (URL, detail) of images."""
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": part[0]} | ({"detail": part[1]} if part[1] else {})}
        for part in parts
    ]
    return {"role": "user", "content": content}


def given(*parts):
    """The same for Responses."""
    content = [
        {"type": "input_text", "text": part}
        if isinstance(part, str)
        else {"type": "input_image", "image_url": part[0], "detail": part[1] or "auto"}
        for part in parts
    ]
    return [{"role": "user", "content": content}]


async def ask(client, *parts, model=MODEL, **more):
    return await client.chat.completions.create(model=model, messages=[shown(*parts)], **more)


def last_content(model):
    body = model.seen[-1].body
    (message,) = [one for one in body.get("messages") or body["input"] if one.get("role") == "user"]
    return message["content"]


async def records(door, topic, who):
    found = [raw for raw in await answers(door.settings, topic, 1, more_s=0.5) if raw.key == who.encode()]
    return [(raw, orjson.loads(raw.value)) for raw in found]


async def refused(asked):
    with pytest.raises(openai.APIStatusError) as caught:
        await asked
    return caught.value


async def test_the_model_gets_exactly_the_bytes_in_their_place_among_the_texts(client, door, model, who):
    found = await ask(client, "hello", (data_url(PNG), "high"), "and", (data_url(JPEG, "jpeg"), None), (PHOTO, "low"))
    assert found.choices[0].message.content.startswith("[scripted]")
    assert (
        last_content(model)
        == shown("hello", (data_url(PNG), "high"), "and", (data_url(JPEG, "jpeg"), None), (PHOTO, "low"))["content"]
    )
    for topic in ("interactions", "model-requests", "modulations", "audits", "changelog.conversation"):
        for raw in await answers(door.settings, topic, 1, more_s=0.2):
            for secret in (base64.b64encode(PNG)[100:140], base64.b64encode(JPEG)[100:140], PHOTO.encode()):
                assert secret not in (raw.value or b""), topic
    (opened,) = [value for _, value in await records(door, "interactions", who) if value["kind"] == "opened"]
    assert [(one["digest"], one["size"], one.get("media_type")) for one in opened["images"]] == [
        (sha256(PNG), len(PNG), "image/png"),
        (sha256(JPEG), len(JPEG), "image/jpeg"),
        (sha256(PHOTO.encode()), len(PHOTO), None),
    ]


async def test_an_image_of_several_records_arrives_whole_and_streamed_too(client, door, model, who):
    chunks = [one async for one in await ask(client, "hello", (data_url(LARGE, "webp"), None), stream=True)]
    assert "hello" in "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)
    assert last_content(model)[1]["image_url"]["url"] == data_url(LARGE, "webp")
    pieces = await records(door, "images", who)
    assert len(pieces) > 1
    assert all(len(raw.value) <= door.settings.max_record_bytes for raw, _ in pieces)


async def test_either_api_takes_images_for_a_model_of_either(client, model):
    parts = ["hello", (data_url(PNG), "low"), (PHOTO, "auto")]
    for name, content in ((MODEL, shown(*parts)["content"]), (OF_RESPONSES, given(*parts)[0]["content"])):
        found = await client.responses.create(model=name, input=given(*parts))
        assert "hello" in found.output_text
        assert last_content(model) == content
        assert await ask(client, *parts, model=name)
        assert last_content(model) == content


async def test_windowed_streams_and_observed_turns_pass_images_on(door, who, model):
    for key in (door.key("capture", name="windows"), door.key("capture", name="seen", mode="observe")):
        asking = await ask(client_of(door, who, key), "hello", (data_url(PNG), None), stream=True)
        assert [one async for one in asking]
        assert last_content(model) == shown("hello", (data_url(PNG), None))["content"]


async def test_a_continued_turn_shows_its_images_again(client, model):
    first = await ask(client, "weather in Bonn", (data_url(PNG), None), tools=TOOLS)
    (call,) = first.choices[0].message.tool_calls
    messages = [
        shown("weather in Bonn", (data_url(PNG), None)),
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "rain all day"},
    ]
    second = await client.chat.completions.create(model=MODEL, tools=TOOLS, messages=messages)
    assert "rain all day" in second.choices[0].message.content
    assert last_content(model) == messages[0]["content"]


async def test_the_text_beside_an_image_is_judged_as_ever(client, model):
    before = len(model.seen)
    error = await refused(ask(client, "how to poison my neighbour", (data_url(PNG), None)))
    assert (error.status_code, error.code) == (400, "content_policy_violation")
    assert len(model.seen) == before


async def test_the_same_images_under_a_key_are_the_same_request_and_others_a_conflict(client, door, model, who):
    headers = {"Idempotency-Key": f"images-{who}"}
    first = await ask(client, "hello", (data_url(PNG), None), extra_headers=headers)
    asked, written = len(model.seen), len(await records(door, "images", who))
    again = await ask(client, "hello", (data_url(PNG), None), extra_headers=headers)
    assert again.endocrine["audit_id"] == first.endocrine["audit_id"]
    assert (len(model.seen), len(await records(door, "images", who))) == (asked, written)
    async with served(door.settings, policy=door.policy) as other:
        there = client_of(other, who, door.secret)
        once_more = await ask(there, "hello", (data_url(PNG), None), extra_headers=headers)
        assert once_more.endocrine["audit_id"] == first.endocrine["audit_id"]
        assert len(model.seen) == asked
    error = await refused(ask(client, "hello", (data_url(JPEG, "jpeg"), None), extra_headers=headers))
    assert (error.status_code, error.code) == (422, "idempotency_key_reused")


async def test_the_policy_says_who_may_send_images(door, who):
    blind, careful = (client_of(door, who, door.key("capture", name=name)) for name in ("blind", "careful"))
    for asking in (ask(blind, "hello", (data_url(PNG), None)), ask(careful, "hello", (PHOTO, None))):
        error = await refused(asking)
        assert (error.code, error.param) == ("unsupported_parameter", "messages[0].content[1].image_url")
    assert await ask(careful, "hello", (data_url(PNG), None))
    observed = client_of(door, who, door.key("capture", name="watched", mode="observe"))
    raw = await observed.chat.completions.with_raw_response.create(
        model=MODEL, messages=[shown("hello", (data_url(PNG), None))]
    )
    assert "unsupported_parameter" in raw.headers["endocrine-would"]


async def test_bytes_that_are_gone_or_others_fail_the_reply_with_a_reason(client, door, model, who):
    await ask(client, "hello", (data_url(LARGE, "webp"), None))
    (request,) = [value for _, value in await records(door, "model-requests", who)]
    (block,) = [one for one in request["messages"][-1]["content"] if one["type"] == "image"]
    home = partition_of(who, door.settings.partitions)
    names = (f"{who}-{number}" for number in range(100))
    other = next(name for name in names if partition_of(name, door.settings.partitions) == home)
    forged = await strangers_record(door, who, home, PNG)
    asked = len(model.seen)
    cases = [
        ("image_gone", who, {"offsets": [10**9]}),
        ("image_gone", who, {"offsets": [*block["offsets"], 10**9]}),
        ("image_gone", who, {"partition": 77}),
        ("image_changed", who, {"digest": sha256(JPEG)}),
        ("image_changed", who, {"offsets": block["offsets"][:-1]}),
        ("image_changed", who, {"offsets": block["offsets"][::-1]}),
        ("image_changed", other, {}),
        ("image_changed", who, {"offsets": [forged], "digest": sha256(PNG), "size": len(PNG)}),
    ]
    for number, (_, identity, change) in enumerate(cases):
        message = {"role": "user", "content": [{"type": "text", "text": "hello"}, block | change]}
        named = {"request_id": f"{who}/{number}", "audit_id": f"{who}-{number}", "identity": identity}
        await produce(door.settings, "model-requests", request | named | {"messages": [message]})
    found = {}
    async with asyncio.timeout(120):
        while len(found) < len(cases):
            for raw in await answers(door.settings, "model-replies", 1, more_s=0.2):
                value = orjson.loads(raw.value)
                if value["request_id"].startswith(f"{who}/"):
                    found[value["request_id"]] = value
    for number, (kind, _, change) in enumerate(cases):
        reply = found[f"{who}/{number}"]
        assert (reply["status"], reply["error"].partition(":")[0]) == ("error", kind), change
    assert len(model.seen) == asked


async def strangers_record(door, who, partition, content):
    """Put an image on the topic as somebody may who has no seal key; return its offset."""
    data = base64.b64encode(content).decode()
    value = {"identity": who, "digest": sha256(content), "piece": 0, "pieces": 1, "data": data, "ts": 1.0}
    producer = AIOKafkaProducer(bootstrap_servers=door.settings.bootstrap)
    await producer.start()
    topic = door.settings.prefix + "images"
    sent = await producer.send_and_wait(topic, orjson.dumps(value), key=who.encode(), partition=partition)
    await producer.stop()
    return sent.offset


async def test_a_turn_whose_bytes_are_gone_ends_with_the_reason(door, who, model):
    """A turn opened by hand names a place that holds nothing: its model is not asked, and the turn ends."""
    place = {"partition": partition_of(who, door.settings.partitions), "offsets": [10**9]}
    image = {"message": 0, "start": 0, "digest": sha256(PNG), "size": len(PNG), "source": "data", **place}
    note = image_note(sha256(PNG), len(PNG))
    about = {"audit_id": f"turn-{who}", "identity": who, "session_id": "s", "turn": 0, "client": "c", "ts": time.time()}
    given = {"messages": [{"role": "user", "content": note}], "images": [image | {"media_type": "image/png"}]}
    turn = {"kind": "opened", **about, "door": "openai", "model": MODEL, "prompt": note, "respond": True, **given}
    await produce(door.settings, "interactions", turn)
    async with asyncio.timeout(120):
        while len(found := await records(door, "interactions", who)) < 2:
            pass
    closed = found[1][1]
    assert (closed["finish"], "image_gone" in closed["response"]) == ("model_error", True)


async def test_limits_and_faults_name_the_part_and_nothing_of_it(door, who):
    async with served(door.settings, policy=door.policy, image_bytes=5000, images_bytes=8000) as small:
        client = client_of(small, who, door.secret)
        medium, big = (b"\x89PNG\r\n\x1a\n" + RANDOM.randbytes(size) for size in (4500, 6000))
        cases = [
            ([(data_url(big), None)], 413, "request_too_large", 0),
            ([(data_url(medium), None)] * 2, 413, "request_too_large", 1),
            (["hello", ("data:image/png;base64,!secret!", None)], 400, "invalid_value", 1),
            ([(data_url(PNG, "gif"), None)], 400, "invalid_value", 0),
            ([(data_url(b"%PDF-1.7"), None)], 400, "invalid_value", 0),
            ([("http://photos.example/secret.png", None)], 400, "invalid_value", 0),
        ]
        for parts, status, code, at in cases:
            error = await refused(ask(client, *parts))
            assert (error.status_code, error.code) == (status, code)
            assert error.param == f"messages[0].content[{at}].image_url"
            assert "secret" not in error.message
        too_long = await refused(ask(client, "x" * (1 << 20), (data_url(PNG), None)))
        assert too_long.status_code == 413
