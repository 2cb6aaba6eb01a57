"""What exports of ChatGPT and Claude.ai hold in the wild."""

import orjson
import pytest

P1, P2 = "How do I sort a list of numbers?", "And how do I reverse that list?"


def node(i, parent, role, content, **more):
    message = {"id": i, "author": {"role": role}, "create_time": 1_700_000_000.0 + int(i[1:]), "content": content}
    return {"id": i, "parent": parent, "children": [], "message": message | {"metadata": {}, "recipient": "all"} | more}


def text(*parts):
    return {"content_type": "text", "parts": list(parts)}


def chat(*nodes, **more):
    mapping = {one["id"]: one for one in nodes}
    return {"conversation_id": "c-1", "mapping": mapping, "current_node": nodes[-1]["id"], "create_time": 1.7e9} | more


@pytest.fixture
def turns(read):
    """turns(conversation, format) -> [(prompt, response or None)]; .got has the rest."""

    def run(conversation, format_name="chatgpt-export"):
        raw = conversation if isinstance(conversation, bytes) else orjson.dumps([conversation])
        run.got = got = read(raw, format_name)
        answers = {v["audit_id"]: v["response"] for v in got.values if v["kind"] == "closed"}
        return [(v["prompt"], answers.get(v["audit_id"])) for v in got.values if v["kind"] == "opened"]

    return run


def answered(answer, **more):
    return chat(node("n1", None, "user", text(P1)), node("n2", "n1", "assistant", text(answer), **more))


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ("Use sorted. \ue200cite\ue202turn0search3\ue202turn0search8\ue201", "Use sorted."),
        ("Use \ue200cite\ue202turn0search3\ue201 sorted.", "Use sorted."),
        ("\ue200filecite\ue202turn0file0\ue202L1-L5\ue201Use sorted.", "Use sorted."),
        ('In \ue200entity\ue202["city","Rome","capital"]\ue201, use sorted.', "In Rome, use sorted."),
        ("In \ue200entity\ue202[broken\ue201 use sorted.", "In use sorted."),
        ("See \ue200url\ue202the manual\ue202turn0view0\ue201.", "See the manual."),
        ("Use \ue203sorted\ue204 \ue200cite\ue202turn0search1\ue201.", "Use sorted."),
        ("Use sorted. \ue200cite\ue202turn0sea", "Use sorted."),
        ("Use sorted.\u30104:0\u2020manual.pdf\u3011", "Use sorted."),
        (
            "Use sorted.\u3010oaicite:0\u3011 It is stable :contentReference[oaicite:1]{index=1}.",
            "Use sorted. It is stable.",
        ),
        ("Use sorted.\u3010turn0file0\u3011", "Use sorted."),
        ('Buy \ue200product_entity\ue202["turn0product1","a lamp"]\ue201.', "Buy a lamp."),
        ("\u3010A\u3011 is kept", "\u3010A\u3011 is kept"),
    ],
)
def test_an_answer_is_what_its_reader_saw(turns, answer, seen):
    assert turns(answered(answer)) == [(P1, seen)]


def test_marks_in_a_prompt_are_what_the_person_pasted(turns):
    prompt = "What is \ue200cite\ue202turn0search3\ue201 in my text?"
    assert turns(chat(node("n1", None, "user", text(prompt)))) == [(prompt, None)]


REPORT = {"report_message": {"content": {"content_type": "text", "parts": ["The report.\u3010oaicite:0\u3011"]}}}


@pytest.mark.parametrize(
    "message",
    [
        {"content": text("Started."), "metadata": {"chatgpt_sdk": {"widget_state": orjson.dumps(REPORT).decode()}}},
        {"content": text("Started."), "metadata": {"chatgpt_sdk": {"widget_state": REPORT}}},
        {"content": text("Started."), "metadata": {"venus_widget_state": REPORT}},
        {"content": text("The report."), "metadata": {"is_async_task_result_message": True}},
    ],
)
def test_the_report_of_a_research_is_an_answer_though_a_tool_gave_it(turns, message):
    ask = node("n1", None, "user", text(P1))
    found = node("n2", "n1", "tool", message["content"], metadata=message["metadata"])
    assert turns(chat(ask, found)) == [(P1, "The report.")]


@pytest.mark.parametrize(
    "state", ["{", "[]", 7, {"report_message": None}, {"report_message": {"content": {"parts": 1}}}]
)
def test_a_tool_without_a_report_is_left_out(turns, state):
    ask = node("n1", None, "user", text(P1))
    tool = node("n2", "n1", "tool", text("x"), metadata={"chatgpt_sdk": {"widget_state": state}})
    assert turns(chat(ask, tool, node("n3", "n2", "assistant", text("Use sorted.")))) == [(P1, "Use sorted.")]


@pytest.mark.parametrize("kind", ["system_error", "tether_quote", "execution_output"])
def test_what_a_tool_gave_is_no_answer_in_the_assistants_name_either(turns, kind):
    ask = node("n1", None, "user", text(P1))
    tool = node("n2", "n1", "assistant", {"content_type": kind, "text": "boom"})
    assert turns(chat(ask, tool, node("n3", "n2", "assistant", text("Use sorted.")))) == [(P1, "Use sorted.")]


CANVAS = {"content_type": "code", "text": '{"name": "plan", "type": "document", "content": "1. Sort."}'}


def test_a_canvas_document_is_left_out_beside_an_answer_and_is_the_answer_alone(turns):
    ask = node("n1", None, "user", text(P1))
    made = node("n2", "n1", "assistant", CANVAS, recipient="canmore.create_textdoc")
    told = node("n3", "n2", "tool", text("Successfully created text document"))
    said = node("n4", "n3", "assistant", text("I wrote a plan."))
    assert turns(chat(ask, made, told, said)) == [(P1, "I wrote a plan.")]
    assert turns.got.noted == {"canvas document": 1, "tool": 1}
    assert turns(chat(ask, made, told)) == [(P1, "1. Sort.")]
    broken = node(
        "n2", "n1", "assistant", {"content_type": "code", "text": "not json"}, recipient="canmore.create_textdoc"
    )
    assert turns(chat(ask, broken)) == [(P1, None)]


def test_a_voice_message_is_its_transcription_wherever_that_is_kept(turns):
    sound = {"content_type": "audio_asset_pointer", "asset_pointer": "sediment://a"}
    part = {"content_type": "audio_transcription", "text": P1, "direction": "in"}
    for parts in (
        [part, sound],
        [sound, part],
        [sound | {"metadata": {"transcription": P1}}],
        [{"content_type": "real_time_user_audio_video_asset_pointer", "audio_asset_pointer": sound}, part],
    ):
        asked = node("n1", None, "user", {"content_type": "multimodal_text", "parts": parts})
        assert turns(chat(asked, node("n2", "n1", "assistant", text("Use sorted.")))) == [(P1, "Use sorted.")]
        assert turns.got.noted == {"audio": 1}


def test_an_image_alone_takes_its_answer_with_it(turns):
    image = {"content_type": "multimodal_text", "parts": [{"content_type": "image_asset_pointer"}]}
    nodes = [node("n1", None, "user", text(P1)), node("n2", "n1", "assistant", text("A."))]
    nodes += [node("n3", "n2", "user", image), node("n4", "n3", "assistant", text("A red bar."))]
    assert turns(chat(*nodes)) == [(P1, "A.")]
    assert turns.got.skipped == {"no_text": 1}


@pytest.mark.parametrize(
    "content",
    [
        {"content_type": "thoughts", "thoughts": [{"content": "secret"}]},
        {"content_type": "reasoning_recap", "content": "Thought for 3s"},
        {"content_type": "text", "parts": []},
        {"content_type": "text"},
        {"content_type": "app_pairing_content", "workspaces": []},
        {"content_type": ["odd"], "parts": [None]},
        {"content_type": {}, "text": None},
    ],
)
def test_content_of_every_shape_costs_nothing(turns, content):
    nodes = [node("n1", None, "user", text(P1)), node("n2", "n1", "assistant", content)]
    assert turns(chat(*nodes, node("n3", "n2", "assistant", text("Use sorted.")))) == [(P1, "Use sorted.")]
    assert turns.got.refusals == []


def test_parts_that_are_one_text_are_read_and_reasoning_in_a_channel_is_not(turns):
    nodes = [node("n1", None, "user", {"content_type": "text", "parts": P1})]
    nodes.append(node("n2", "n1", "assistant", text("Hm, lists."), channel="analysis"))
    assert turns(chat(*nodes, node("n3", "n2", "assistant", text("Use sorted."), channel="final"))) == [
        (P1, "Use sorted.")
    ]


def test_edited_and_regenerated_messages_do_not_mix(turns):
    nodes = [
        node("n1", None, "user", text("A question that was edited away.")),
        node("n2", "n1", "assistant", text("Old.")),
        node("n3", None, "user", text(P1)),
        node("n4", "n3", "assistant", text("Regenerated away.")),
        node("n5", "n3", "assistant", text("Use sorted.")),
        node("n6", "n5", "user", text(P2)),
    ]
    assert turns(chat(*nodes)) == [(P1, "Use sorted."), (P2, None)]
    for lost in ("gone", None, {"a": 1}):
        assert turns(chat(*nodes, current_node=lost)) == [(P1, "Use sorted."), (P2, None)]


def test_a_tree_that_names_children_alone_is_read(turns):
    conversation = answered("Use sorted.")
    for one in conversation["mapping"].values():
        del one["parent"]
    conversation["mapping"]["n1"]["children"] = ["n2"]
    assert turns(conversation) == [(P1, "Use sorted.")]


def test_half_characters_and_stray_bytes_cost_no_conversation(turns):
    raw = orjson.dumps([answered("Use sorted. @")])
    assert turns(raw.replace(b"@", b"\\ud83d")) == [(P1, "Use sorted. \ufffd")]
    assert turns(raw.replace(b"@", b"\xed\xa0\xbd")) == [(P1, "Use sorted. \ufffd")]
    assert turns(raw.replace(b"@", b"\xff")) == [(P1, "Use sorted. \ufffd")]
    assert turns.got.noted == {"invalid UTF-8": 1}
    assert turns(raw.replace(b"@", b"\0")) == [(P1, "Use sorted. ")]
    assert turns(raw.replace(b"@", b"\n")) == [(P1, "Use sorted. \n")]


def test_an_array_wrapped_in_an_object_is_read_and_an_empty_one_refused(turns):
    wrapped = {"conversations": [answered("Use sorted."), 7]}
    assert turns(orjson.dumps(wrapped)) == [(P1, "Use sorted.")]
    assert turns.got.refusals == [
        "in: conversation 1.2: is a number; expected a conversation of a ChatGPT export, a JSON object with `mapping` "
        "and `current_node`"
    ]
    assert turns(b'{"conversations": []}') == []
    assert "has no object `mapping`" in turns.got.refusals[0]


def message(uuid, sender, said, **more):
    return {"uuid": uuid, "sender": sender, "text": said, "created_at": f"2025-05-01T09:00:{int(uuid[1:]):02d}Z"} | more


def claude(*messages, **more):
    return {"uuid": "c-1", "created_at": "2025-05-01T09:00:00Z", "chat_messages": list(messages)} | more


def block(kind="text", **more):
    return {"type": kind, **more}


def test_older_claude_exports_have_text_alone_and_come_in_order(turns):
    conversation = claude(message("m1", "human", P1), message("m2", "assistant", "A."), message("m3", "human", P2))
    assert turns(conversation, "claude-export") == [(P1, "A."), (P2, None)]
    assert turns(orjson.dumps(conversation), "claude-export") == [(P1, "A."), (P2, None)]


@pytest.mark.parametrize(
    "reply",
    [
        {"content": [block(text="Use sorted.")], "text": ""},
        {"content": [block("thinking", thinking="x"), block(text="Use sorted.")]},
        {"content": [block("tool_use", name="x"), block(text="Use "[:0]), block(text="Use sorted.")]},
        {"content": "Use sorted."},
        {"content": None},
        {"content": [], "text": "<antThinking>lists</antThinking>Use sorted."},
        {
            "content": [block("tool_use")],
            "text": "```\nThis block is not supported on your current device yet.\n```\nUse sorted.",
        },
        {"content": [block(7), 7, None, block(text=7)]},
        {"content": [block("voice_note", text="Use sorted.")], "text": ""},
    ],
)
def test_a_claude_message_is_its_text_in_every_shape(turns, reply):
    conversation = claude(message("m1", "human", P1), message("m2", "assistant", "Use sorted.", **reply))
    assert turns(conversation, "claude-export") == [(P1, "Use sorted.")]


@pytest.mark.parametrize(
    "broken",
    [7, {}, {"sender": "system"}, {"sender": "human", "content": 7}, {"sender": "human", "text": 7}],
)
def test_a_claude_message_that_cannot_be_read_costs_itself_and_its_answer(turns, broken):
    messages = [
        message("m1", "human", P1),
        message("m2", "assistant", "A."),
        broken,
        message("m4", "assistant", "Stray."),
    ]
    messages += [message("m5", "human", P2), message("m6", "assistant", "B.")]
    assert turns(claude(*messages), "claude-export") == [(P1, "A."), (P2, "B.")]
    assert len(turns.got.refusals) == 1
    assert "conversation 1, message 3" in turns.got.refusals[0]
    assert turns.got.noted["reply after a refused entry"] == 1


def test_a_claude_prompt_that_is_a_file_alone_takes_its_answer_with_it(turns):
    files = {"files": [{"file_name": "a.png"}], "files_v2": [{"file_name": "a.png"}]}
    asked = message("m3", "human", "", **files)
    messages = [
        message("m1", "human", P1),
        message("m2", "assistant", "A."),
        asked,
        message("m4", "assistant", "A bar."),
    ]
    assert turns(claude(*messages), "claude-export") == [(P1, "A.")]
    assert turns.got.skipped == {"no_text": 1}
    assert turns.got.noted == {"file": 1}
    pasted = {"attachments": [{"file_name": "", "extracted_content": P2}]}
    assert turns(claude(message("m1", "human", "", **pasted)), "claude-export") == [(P2, None)]


@pytest.mark.parametrize(
    ("leaf", "answer"), [("m2", "Old."), ("m3", "New."), (None, "New."), ("gone", "New."), ([], "New.")]
)
def test_a_claude_tree_is_read_along_the_branch_that_the_person_sees(turns, leaf, answer):
    root = {"parent_message_uuid": "00000000-0000-4000-8000-000000000000"}
    below = {"parent_message_uuid": "m1"}
    messages = [message("m1", "human", P1, **root), message("m2", "assistant", "Old.", **below)]
    messages.append(message("m3", "assistant", "New.", **below))
    assert turns(claude(*messages, current_leaf_message_uuid=leaf), "claude-export") == [(P1, answer)]
    assert turns.got.noted == {"message of another branch": 1}


@pytest.mark.parametrize("root", [None, "00000000-0000-4000-8000-000000000000"])
@pytest.mark.parametrize("broken", [[], [7], [{"sender": "system"}]])
def test_a_broken_message_or_a_root_without_parent_does_not_mix_branches(turns, root, broken):
    below = {"parent_message_uuid": "m1"}
    messages = [message("m1", "human", P1, parent_message_uuid=root), message("m2", "assistant", "Old.", **below)]
    messages += [message("m3", "assistant", "New.", **below), *broken]
    assert turns(claude(*messages), "claude-export") == [(P1, "New.")]
    assert len(turns.got.refusals) == len(broken)


def test_a_claude_tree_with_a_loop_or_a_lost_parent_is_named(turns):
    looped = [
        message("m1", "human", P1, parent_message_uuid="m2"),
        message("m2", "assistant", "A.", parent_message_uuid="m1"),
    ]
    assert turns(claude(*looped), "claude-export") == [(P1, "A.")]
    assert "expected a tree" in turns.got.refusals[0]
    lost = [
        message("m1", "human", P1, parent_message_uuid="gone"),
        message("m2", "human", P2, parent_message_uuid="gone"),
    ]
    assert turns(claude(*lost), "claude-export") == [(P2, None)]
    assert "the parent of message 2 is not there" in turns.got.refusals[0]
