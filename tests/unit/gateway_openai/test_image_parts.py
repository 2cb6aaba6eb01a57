"""Image parts from a request to what a model is sent: in their place, exact, within bounds, never content in errors."""

import base64
import hashlib

import httpx2
import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from endocrine.agents.conversation.application import given as what_was_given
from endocrine.pipeline.connectors.model.wire import chat_body, responses_body
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.gateway.openai.bodies import Limits
from endocrine.pipeline.gateway.openai.chat_request import parse_chat
from endocrine.pipeline.gateway.openai.images import check_images, image_of, not_allowed
from endocrine.pipeline.gateway.openai.opening import turn_request
from endocrine.pipeline.gateway.openai.port import ApplicationRules, Caller
from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.pipeline.gateway.openai.responses_request import parse_responses
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.schemas.images import image_note
from properties import examples
from scripted_turns import served

CALLER = Caller("shop", frozenset({"capture"}))
BEGINNINGS = {
    "png": b"\x89PNG\r\n\x1a\n",
    "jpeg": b"\xff\xd8\xff",
    "gif": b"GIF89a",
    "webp": b"RIFF\0\0\0\0WEBP",
}
PNG = BEGINNINGS["png"] + b"rest"
NOTE = image_note(hashlib.sha256(PNG).hexdigest(), len(PNG))
PLACE = "messages[0].content[0].image_url"


def data_url(content, kind="png"):
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def chat(parts):
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": part[0]}}
        for part in parts
    ]
    return parse_chat(orjson.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}))


def responses(parts):
    content = [
        {"type": "input_text", "text": part} if isinstance(part, str) else {"type": "input_image", "image_url": part[0]}
        for part in parts
    ]
    return parse_responses(orjson.dumps({"model": "m", "input": [{"role": "user", "content": content}]}))


def sent(parsed):
    """The content of the message as either API is sent it, by way of the turn's record and its model request."""
    turn = turn_request(parsed, CALLER, ApplicationRules(), {}, session_key=b"k")
    about = {"audit_id": "t", "ts": 1.0}
    written = [
        {"message": one.message, "start": one.start, "digest": one.digest, "size": one.size, "source": one.source,
         "media_type": one.media_type, "partition": 0, "offsets": [number]}
        for number, one in enumerate(turn.images)
    ]  # fmt: skip
    value = orjson.loads(orjson.dumps({**turn.opened, **about, "enforce": False, "images": written}))
    opened = CATALOGUE["interactions"].validate(value)
    messages = what_was_given(opened, shipped_policy())["messages"]
    urls = {
        one.digest: one.data.decode()
        if one.source == "url"
        else f"data:{one.media_type};base64,{base64.b64encode(one.data).decode()}"
        for one in turn.images
    }
    request = {"model": "m", "messages": messages, "tools": [], "parameters": {}}
    chat_message = chat_body(request, "max_tokens", urls)["messages"][-1]
    (item,) = responses_body(request, urls)["input"]
    return chat_message["content"], item["content"]


def plain(content):
    """Texts and URLs in order."""
    return [
        block["text"]
        if "text" in block
        else (block["image_url"] if isinstance(block["image_url"], str) else block["image_url"]["url"],)
        for block in content
    ]


def joined(parts):
    """What is expected of parts: texts that follow one another are one, and empty ones nothing."""
    found = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += "\n" + part
        else:
            found.append(part)
    return [part for part in found if part]


TEXTS = st.one_of(st.text(st.sampled_from("ab \n[]"), max_size=4), st.just(NOTE), st.text(max_size=5))
IMAGES = st.one_of(
    st.sampled_from(sorted(BEGINNINGS)).flatmap(
        lambda kind: st.binary(max_size=9).map(lambda rest: (data_url(BEGINNINGS[kind] + rest, kind),))
    ),
    st.sampled_from([("https://a.test/x.png",), ("https://a.test/y?token=1",), (data_url(PNG),)]),
)


@hypothesis_settings(max_examples=examples(200))
@given(st.lists(st.one_of(TEXTS, IMAGES), min_size=1, max_size=6))
def test_whatever_the_parts_a_model_gets_them_in_order_and_exact_and_a_typed_note_stays_text(parts):
    if not any(isinstance(part, tuple) for part in parts):
        parts = [*parts, (data_url(PNG),)]
    for parsed in (chat(parts), responses(parts)):
        for content in sent(parsed):
            assert plain(content) == joined(parts)


def test_the_record_says_of_an_image_what_it_is_and_nothing_of_its_bytes():
    turn = turn_request(chat(["See", (data_url(PNG),)]), CALLER, ApplicationRules(), {}, session_key=b"k")
    assert turn.opened["prompt"] == f"See\n{NOTE}"
    assert base64.b64encode(PNG) not in orjson.dumps(turn.opened)
    (image,) = turn.images
    assert (image.data, image.media_type, image.message, image.start) == (PNG, "image/png", 0, 4)
    assert str(PNG) not in repr(turn)


@pytest.mark.parametrize("kind", sorted(BEGINNINGS))
def test_the_bytes_say_what_an_image_is(kind):
    assert image_of(data_url(BEGINNINGS[kind] + b"x", kind), PLACE).media_type == f"image/{kind}"
    others = [other for other in BEGINNINGS if other != kind]
    for other in others:
        with pytest.raises(Refused, match=PLACE.replace("[", r"\[")):
            image_of(data_url(BEGINNINGS[kind] + b"x", other), PLACE)


def test_a_type_in_other_words_is_the_same_type():
    jpeg = BEGINNINGS["jpeg"] + b"x"
    assert image_of(data_url(jpeg, "jpg"), PLACE).media_type == "image/jpeg"
    assert image_of("DATA:IMAGE/JPEG;charset=utf-8;base64," + base64.b64encode(jpeg).decode(), PLACE).data == jpeg


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "data:image/png,secret",
        "data:image/png;base64,secret!",
        "data:image/png;base64,",
        "data:image/png;base64,c2VjcmV0",
        "data:image/svg+xml;base64," + base64.b64encode(b"<svg>secret</svg>").decode(),
        "http://x.test/secret.png",
        "file:///etc/secret",
        "gs://secret/x.png",
        "https:///secret",
        "https://x.test/se cret",
        "https://x.test/secret\n",
        "https://[secret/",
        "https://x.test/" + "secret" * 2000,
        "secret",
    ],
)
def test_what_is_not_an_image_is_refused_by_its_place_and_not_quoted(url):
    with pytest.raises(Refused) as caught:
        image_of(url, PLACE)
    assert (caught.value.code, caught.value.param) == ("invalid_value", PLACE)
    assert PLACE in caught.value.message
    assert "secret" not in caught.value.message
    assert "c2VjcmV0" not in caught.value.message


@pytest.mark.parametrize(
    ("rules", "code"), [("all", None), ("data", "unsupported_parameter"), ("none", "unsupported_parameter")]
)
def test_the_policy_may_keep_addresses_or_all_images_out(rules, code):
    images = chat([(data_url(PNG),), ("https://x.test/",)]).conversation.images
    found = not_allowed(images, ApplicationRules(images=rules))
    assert (found and found.code) == code
    assert not_allowed(images[:1], ApplicationRules(images="data")) is None


def test_bounds_hold_to_the_byte_and_name_the_image_that_is_too_much():
    image = image_of(data_url(PNG), PLACE)
    size = image.size
    check_images([image] * 2, Limits(image_bytes=size, images_bytes=2 * size))
    for bounds, count in ((Limits(image_bytes=size - 1), 1), (Limits(images_bytes=2 * size - 1), 2)):
        with pytest.raises(Refused) as caught:
            check_images([image] * count, bounds)
        assert (caught.value.code, caught.value.param) == ("request_too_large", PLACE)
    with pytest.raises(Refused) as caught:
        check_images([image] * 65, Limits())
    assert (caught.value.code, caught.value.param) == ("invalid_value", PLACE)


# ---- the endpoint ----


def body_of(text, *images):
    parts = [{"type": "image_url", "image_url": {"url": one}} for one in images]
    return {"model": "small", "messages": [{"role": "user", "content": [{"type": "text", "text": text}, *parts]}]}


def post(url, body):
    return httpx2.post(f"{url}/chat/completions", json=body, headers={"authorization": "Bearer good"})


LARGE = data_url(BEGINNINGS["png"] + b"x" * 20_000)


def test_images_are_not_counted_as_the_body_and_text_is(port):
    with served(port, body_bytes=10_000, image_bytes=30_000, images_bytes=30_000) as url:
        assert post(url, body_of("hello", LARGE)).status_code == 200
        (opened,) = port.opened
        assert [one.size for one in opened.images] == [20_008]
        for body in (body_of("x" * 10_000, LARGE), body_of("x" * 10_000), body_of("data:" + "x" * 10_000)):
            answer = post(url, body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert len(port.opened) == 1


def test_only_so_many_large_bodies_are_held_at_once_and_others_are_told_to_wait(port):
    with served(port, body_bytes=10_000, large_bodies=0) as url:
        answer = post(url, body_of("hello", LARGE))
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
        assert answer.headers["retry-after-ms"] == "1000"
        assert post(url, body_of("hello", data_url(PNG))).status_code == 200
    with served(port, body_bytes=10_000, large_bodies=1) as url:
        for _ in range(3):  # one that is gone makes room for the next
            assert post(url, body_of("hello", LARGE)).status_code == 200
            assert post(url, body_of("hello", LARGE, LARGE.replace("eHh", "!!!"))).status_code == 400
