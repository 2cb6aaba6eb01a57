"""Turns with images: the agent carries what the turn says of them, and never the bytes."""

import pytest

from endocrine.agents.moderation.local import judge
from endocrine.schemas.images import image_note

DIGEST = "5f" * 32
NOTE = image_note(DIGEST, 68)
ABOUT = {"digest": DIGEST, "size": 68, "source": "data", "media_type": "image/png", "partition": 1, "offsets": [4, 5]}
HIDDEN = chr(0xE0041)
"""A tag character, which models read and people do not see."""
TEXT = f"Look\n{NOTE}\nand{HIDDEN} say"
IMAGE = {"type": "image", **ABOUT, "detail": "low"}


def opened(talk, text=TEXT, images=None, **more):
    placed = [{"message": 1, "start": 5, "detail": "low", **ABOUT}] if images is None else images
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}]
    talk.open(prompt=text, messages=messages, images=placed, door="openai", **more)
    talk.modulate(tools=())
    (request,) = talk.requests
    return request


def test_a_model_request_has_the_image_where_its_note_was(talk):
    blocks = opened(talk)["messages"][-1]["content"]
    assert blocks == [{"type": "text", "text": "Look"}, IMAGE, {"type": "text", "text": "and say"}]


def test_of_an_observed_turn_the_text_beside_goes_as_it_came(talk):
    blocks = opened(talk, enforce=False)["messages"][-1]["content"]
    assert blocks == [{"type": "text", "text": "Look"}, IMAGE, {"type": "text", "text": f"and{HIDDEN} say"}]


def test_a_prompt_beside_the_conversation_follows_it(talk):
    messages = [{"role": "user", "content": TEXT}]
    talk.open(prompt="And?", messages=messages, images=[{"message": 0, "start": 5, **ABOUT}], door="openai")
    talk.modulate(tools=())
    *_, shown, last = talk.requests[0]["messages"]
    assert [one["type"] for one in shown["content"]] == ["text", "image", "text"]
    assert last == {"role": "user", "content": "And?"}


@pytest.mark.parametrize("count", [1, 3])
def test_tokens_are_held_back_for_every_image(talk, count):
    text = "\n".join([NOTE] * count)
    images = [{"message": 1, "start": number * (len(NOTE) + 1), **ABOUT} for number in range(count)]
    request = opened(talk, text=text, images=images)
    estimate = talk.policy.document.budget.image_tokens
    assert estimate > 0
    held = request["reserved_tokens"] - request["parameters"]["max_output_tokens"]
    assert estimate * count < held < estimate * count + 3000


def test_images_beyond_the_budget_close_the_turn(make_talk):
    talk = make_talk(budget={"limit": 10_000, "image_tokens": 9_000})
    images = [{"message": 1, "start": 5, **ABOUT}]
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": TEXT}]
    talk.open(prompt=TEXT, messages=messages, images=images, door="openai")
    talk.modulate(tools=())
    assert talk.requests == []
    assert [one["finish"] for one in talk.closed] == ["budget_exceeded"]


def test_the_note_of_an_image_alone_is_flagged_by_no_rule(talk):
    for preset in ("standard", "high"):
        for digit in "0123456789abcdef":
            text = image_note(digit * 64, 10**6)
            for side in ("input", "output"):
                assert not judge(text, side, preset, talk.policy.document.moderation).flagged
