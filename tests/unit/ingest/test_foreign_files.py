"""Files of other tools: each is recognised, named and refused, and nothing of it is quoted."""

import json
import shutil

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.data.ingest.foreign import FOREIGN
from endocrine.pipeline.data.ingest.recognise import recognise
from endocrine.pipeline.data.ingest.run import FORMATS
from properties import examples

SECRET = "My private question about lists?"


def rows(*objects):
    return "".join(json.dumps(one) + "\n" for one in objects)


OTHERS = {
    "rollout.jsonl": (
        "a Codex rollout",
        rows(
            {"timestamp": "t", "type": "session_meta", "payload": {"id": "x"}},
            {
                "timestamp": "t",
                "type": "response_item",
                "payload": {"type": "message", "role": "user", "content": SECRET},
            },
        ),
    ),
    "old-rollout.jsonl": (
        "a Codex rollout",
        rows({"id": "x", "timestamp": "t"}, {"type": "message", "role": "user", "content": [{"type": "input_text"}]}),
    ),
    "cursor.json": ("a Cursor chat", {"composerId": "c", "conversation": [{"text": SECRET}]}),
    "cursor.jsonl": (
        "a Cursor chat",
        rows({"role": "user", "message": {"content": [{"type": "text", "text": SECRET}]}}),
    ),
    "state.vscdb": ("a SQLite database", "SQLite format 3\0" + SECRET),
    "takeout.json": (
        "Gemini activity",
        [{"header": "Gemini Apps", "title": f"Prompted {SECRET}", "time": "t", "products": ["Gemini Apps"]}],
    ),
    "gemini-cli.json": (
        "a Gemini CLI session",
        {"sessionId": "s", "projectHash": "h", "messages": [{"content": SECRET}]},
    ),
    "logs.json": ("a Gemini CLI log", [{"sessionId": "s", "messageId": 0, "type": "user", "message": SECRET}]),
    "studio.json": ("a Google AI Studio prompt", {"runSettings": {}, "chunkedPrompt": {"chunks": [{"text": SECRET}]}}),
    "checkpoint.json": ("Gemini contents", [{"role": "user", "parts": [{"text": SECRET}]}]),
    "copilot.json": (
        "a GitHub Copilot chat",
        {"requesterUsername": "a", "responderUsername": "b", "requests": [{"message": {"text": SECRET}}]},
    ),
    "copilot-cli.jsonl": (
        "a GitHub Copilot CLI session",
        rows({"type": "session.start", "data": {}}, {"type": "user.message", "data": {"content": SECRET}}),
    ),
    ".aider.chat.history.md": (
        "an Aider chat history",
        f"\n# aider chat started at 2025-01-01 10:00:00\n\n#### {SECRET}\n",
    ),
    "langsmith.jsonl": ("LangSmith runs", rows({"id": "x", "run_type": "llm", "inputs": {"messages": [SECRET]}})),
    "langchain.json": ("serialized LangChain messages", [{"type": "human", "data": {"content": SECRET}}]),
    "open-webui.json": (
        "an Open WebUI export",
        [{"id": "x", "title": "t", "chat": {"history": {"messages": {"m": {"content": SECRET}}, "currentId": "m"}}}],
    ),
    "librechat.json": ("a LibreChat export", {"conversationId": "c", "title": "t", "messages": [{"text": SECRET}]}),
    "tavern.jsonl": (
        "a SillyTavern chat",
        rows({"user_name": "a", "character_name": "b"}, {"name": "a", "is_user": True, "mes": SECRET}),
    ),
    "deepseek.json": (
        "a DeepSeek export",
        [{"id": "x", "title": "t", "mapping": {"1": {"message": {"fragments": [{"content": SECRET}]}}}}],
    ),
    "grok.json": ("a Grok export", {"conversations": [{"conversation": {}, "responses": [{"response": SECRET}]}]}),
    "cline.json": ("a Cline or Roo Code task", [{"role": "user", "content": [{"text": f"<task>{SECRET}</task>"}]}]),
    "continue.json": ("a Continue session", {"sessionId": "s", "history": [{"message": {"content": SECRET}}]}),
    "opencode.json": ("an opencode session", {"info": {"id": "ses_1"}, "messages": [{"parts": [SECRET]}]}),
    "zed.json": ("a Zed thread", {"version": "0.3.0", "messages": [{"User": {"content": [SECRET]}}]}),
    "phoenix.jsonl": ("OpenInference spans", rows({"attributes": {"openinference.span.kind": "LLM", "input": SECRET}})),
    "langfuse.json": ("Langfuse traces", [{"projectId": "p", "observations": [], "input": SECRET}]),
    "lechat.json": ("a Mistral Le Chat export", [{"id": "x", "chatId": "c", "role": "user", "content": SECRET}]),
    "tuning.jsonl": ("chat messages of an API", rows(*[{"messages": [{"role": "user", "content": SECRET}]}] * 2)),
    "sharegpt.json": ("ShareGPT", [{"id": "x", "conversations": [{"from": "human", "value": SECRET}]}]),
    "reply.json": ("replies of the OpenAI API", {"object": "chat.completion", "choices": [{"message": SECRET}]}),
    "slack.json": ("a Slack export", [{"type": "message", "user": "U1", "ts": "1.2", "text": SECRET}]),
    "telegram.json": ("a Telegram export", {"name": "a", "type": "personal_chat", "id": 1, "messages": [SECRET]}),
    "whatsapp.txt": ("a WhatsApp chat", f"[12/05/24, 10:11:12] Ann: {SECRET}\n"),
    "lm-studio.json": ("an LM Studio conversation", {"messages": [{"versions": [], "currentlySelected": 0}]}),
    "webui.json": ("a text-generation-webui chat", {"internal": [[SECRET, "a"]], "visible": []}),
}
OURS = {
    "chat.txt": 4,
    "claude.json": 3,
    "conversations.json": 4,
    "observations.jsonl": 0,
    "records.jsonl": 1,
    "spans.jsonl": 4,
    "transcript.jsonl": 2,
}
"""Turns of each file of tests/data/ingest."""


def content(made):
    return made.encode() if isinstance(made, str) else json.dumps(made).encode()


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_another_tool_is_named(name):
    tool, made = OTHERS[name]
    found = recognise(content(made), name)
    assert (found.format_name, found.no_chat) == (None, None)
    assert found.foreign.startswith(tool)
    if not isinstance(made, str):
        assert recognise(json.dumps(made, indent=2).encode(), name).foreign == found.foreign
        assert recognise(b"\xef\xbb\xbf" + content(made), name).foreign == found.foreign


def test_each_other_tool_has_a_name_of_its_own():
    names = [tool for tool, _ in FOREIGN]
    assert len(set(names)) == len(names) >= 15


@pytest.fixture
def folder(tmp_path, data):
    for name in OURS:
        shutil.copy(data / name, tmp_path / name)
    for name, (_, made) in OTHERS.items():
        (tmp_path / name).write_bytes(content(made))
    (tmp_path / "chat.html").write_text("<html>page</html>")
    (tmp_path / "image.png").write_bytes(b"\x89PNG....")
    (tmp_path / "user.json").write_text('{"id": "u", "email": "a@b"}')
    return tmp_path


def test_a_mixed_folder_gives_the_turns_of_ours_and_names_each_of_the_others(run, folder, data):
    result = run(folder, "--dry-run", "--identity", "ann")
    assert result.exit_code == 0
    lines = [orjson.loads(line) for line in result.stdout_bytes.splitlines()]
    opened = [line for line in lines if line["value"].get("kind") == "opened"]
    assert len(opened) == sum(OURS.values())
    for name, (tool, _) in OTHERS.items():
        (told,) = [line for line in result.stderr.splitlines() if line.startswith(f"{folder}/{name}: ")]
        assert tool in told
        assert "expected a file of one of the formats jsonl, behave-jsonl, chatgpt-export" in told
    assert SECRET not in result.stderr
    assert f"files {len(OURS) + len(OTHERS) + 3} (" in result.stderr
    assert f"read {len(OURS)}, refused {len(OTHERS)}" in result.stderr
    assert result.stderr.splitlines()[-1].startswith(f"ingest: turns {len(opened)}, records {len(lines)}, skipped ")


def test_a_mixed_folder_read_as_one_format_names_the_others_and_which_format_they_are(run, folder):
    result = run(folder, "--format", "chatgpt-export", "--dry-run")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1].startswith("ingest: turns 4, ")
    for name in OURS:
        if name != "conversations.json":
            (told,) = [line for line in result.stderr.splitlines() if line.startswith(f"{folder}/{name}: ")]
            assert "; try --format " in told


@pytest.mark.parametrize("format_name", ["auto", *FORMATS])
@pytest.mark.parametrize("name", ["rollout.jsonl", "deepseek.json", "logs.json", ".aider.chat.history.md"])
def test_a_foreign_file_alone_is_no_success_whatever_the_format(run, tmp_path, name, format_name):
    tool, made = OTHERS[name]
    (tmp_path / name).write_bytes(content(made))
    result = run(tmp_path / name, "--format", format_name, "--dry-run")
    assert result.exit_code == 1
    assert f"looks like {tool}" in result.stderr
    assert "expected" in result.stderr
    assert SECRET not in result.output


def test_a_folder_in_which_nothing_is_a_chat_is_no_success(run, tmp_path):
    (tmp_path / "chat.html").write_text("<html></html>")
    (tmp_path / "user.json").write_text("{}")
    result = run(tmp_path, "--format", "chatgpt-export", "--dry-run")
    assert result.exit_code == 1
    assert f"{tmp_path}: none of its 2 files holds chats; expected a file of one of the formats" in result.stderr


def test_what_nobody_knows_is_refused_in_auto_and_tried_where_a_format_is_named(run):
    assert "stdin: is not recognised; expected a file of one of" in run("-", "--dry-run", input="{}").stderr
    assert run("-", "--dry-run", input="{}").exit_code == 1
    assert "has no `type`" in run("-", "--format", "claude-transcript", "--dry-run", input="{}").stderr
    assert run("-", "--format", "claude-transcript", "--dry-run", input="").exit_code == 0


@pytest.mark.parametrize("name", OURS)
def test_our_own_files_are_recognised_and_read_the_same_by_name_and_by_themselves(run, data, name):
    more = ["--identity", "ann"] if name in ("observations.jsonl",) else []
    found = recognise((data / name).read_bytes()[:131072]).format_name
    by_itself, by_name = (run(data / name, "--dry-run", *given, *more) for given in ([], ["--format", found]))
    assert by_itself.stdout_bytes == by_name.stdout_bytes
    assert by_itself.stdout_bytes


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("size", [600, 3000, 131072])
def test_the_beginning_of_a_long_file_is_enough(data, name, size):
    whole = recognise((data / name).read_bytes()).format_name
    assert whole is not None
    if not (name == "conversations.json" and size == 600):
        assert recognise((data / name).read_bytes()[:size]).format_name == whole


KEYS = [
    "mapping", "message", "messages", "type", "role", "content", "parts", "data", "chat", "history",
    "conversations", "requests", "info", "attributes", "chat_messages", "fragments", "sessionId", "object", "ts",
    "user", "id", "body", "custom_id", "topic", "value", "events",
]  # fmt: skip
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=examples(120), deadline=None)
@given(value=ANY, cut=st.integers(0, 200), raw=st.binary(max_size=30))
def test_recognising_never_fails(value, cut, raw):
    made = json.dumps(value).encode()
    for head in (made, made[:cut], made[:cut] + raw, raw, made + b"\n" + made, b"\0" + made):
        found = recognise(head, "x.json")
        assert sum(one is not None for one in (found.format_name, found.foreign, found.no_chat)) <= 1
