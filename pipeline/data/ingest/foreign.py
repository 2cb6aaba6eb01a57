"""Files of other tools that people give to ingest, by shape: recognised so that they can be named."""

import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from endocrine.pipeline.data.ingest.sample import Sample
from endocrine.pipeline.data.ingest.values import object_or_empty

Fits = Callable[[Sample], bool]
NO_CHAT_NAMES = frozenset(
    {
        "user.json", "users.json", "user_settings.json", "message_feedback.json", "model_comparisons.json",
        "shared_conversations.json", "export_manifest.json", "memories.json", "projects.json", "shopping.json",
        "sora.json", "library_files.json",
    }
)  # fmt: skip
"""Files beside the chats in a ChatGPT or Claude.ai export."""
_MAGIC = (
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"RIFF", "audio or an image"),
    (b"ID3", "audio"),
    (b"OggS", "audio"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
)
_MEDIA = frozenset(
    {
        "png", "jpg", "jpeg", "gif", "webp", "heic", "svg", "wav", "mp3", "m4a", "ogg", "mp4", "mov", "webm", "pdf",
        "dat", "bin", "css", "js", "ico", "woff", "woff2",
    }
)  # fmt: skip
_PAGES = frozenset({"html", "htm", "xhtml"})


def no_chat(sample: Sample, name: str) -> str | None:
    """Name the kind of a file that holds no chats; None where it might hold some."""
    kind = next((kind for magic, kind in _MAGIC if sample.head.startswith(magic)), None)
    if kind is not None:
        return kind
    if not sample.head.strip():
        return "an empty file"
    suffix = PurePath(name).suffix.lower().lstrip(".")
    if suffix in _PAGES or re.match(r"\s*<(?:!doctype html|html)", sample.text, re.IGNORECASE):
        return "a page (HTML)"
    return "a media file" if suffix in _MEDIA else None


def _first(*keys: str) -> Fits:
    return lambda sample: sample.has(*keys)


def _messages(*keys: str) -> Fits:
    """The first object has `messages`, an array whose first object has the keys."""
    return lambda sample: _inner(sample.first.get("messages")).keys() >= set(keys)


def _inner(value: Any) -> dict[str, Any]:
    return next((item for item in value if isinstance(item, dict)), {}) if isinstance(value, list) else {}


def _types(*prefixes: str) -> Fits:
    """Some line's `type` begins with one of the prefixes."""
    return lambda sample: any(kind.startswith(prefixes) for kind in sample.row_types())


def _text(pattern: str) -> Fits:
    compiled = re.compile(pattern, re.MULTILINE)
    return lambda sample: compiled.search(sample.text) is not None


def _codex(sample: Sample) -> bool:
    rollout = sample.row_types() & {"session_meta", "response_item", "event_msg", "turn_context"}
    blocks = [_inner(row.get("content")).get("type") for row in sample.rows if row.get("type") == "message"]
    return bool(rollout and sample.any_row("payload")) or bool({"input_text", "output_text"} & set(blocks))


def _deepseek(sample: Sample) -> bool:
    nodes = object_or_empty(sample.first.get("mapping")).values()
    return any("fragments" in object_or_empty(object_or_empty(node).get("message")) for node in nodes)


def _cline(sample: Sample) -> bool:
    if sample.has("ts", "type") and ("say" in sample.first or "ask" in sample.first):
        return True
    return bool(sample.items) and sample.has("role", "content") and "<task>" in sample.text[:4000]


def _cursor(sample: Sample) -> bool:
    if sample.head.startswith(b"SQLite format 3\0"):
        return False
    composer = any(key in sample.first for key in ("composerId", "bubbleId", "allComposers", "composerData"))
    return composer or (sample.any_row("role", "message") and not sample.row_types())


def _fine_tuning(sample: Sample) -> bool:
    return sample.has("messages") and sample.first.keys() <= {"messages", "tools", "functions", "weight", "metadata"}


def _sharegpt(sample: Sample) -> bool:
    return _inner(sample.first.get("conversations")).keys() >= {"from", "value"}


def _openai_reply(sample: Sample) -> bool:
    kind = sample.first.get("object")
    return isinstance(kind, str) and kind.startswith(("chat.completion", "response", "thread"))


def _grok(sample: Sample) -> bool:
    return _inner(sample.first.get("conversations")).keys() >= {"conversation", "responses"}


def _zed(sample: Sample) -> bool:
    return "zed" in sample.first or bool(_inner(sample.first.get("messages")).keys() & {"User", "Agent"})


def _takeout(sample: Sample) -> bool:
    return sample.has("header", "title") and ("products" in sample.first or "time" in sample.first)


def _copilot_chat(sample: Sample) -> bool:
    return sample.has("requests") and bool({"responderUsername", "requesterUsername"} & sample.first.keys())


def _langchain(sample: Sample) -> bool:
    data = sample.has("type", "data") and sample.first["type"] in ("human", "ai", "system")
    return data or sample.has("lc", "type")


def _openinference(sample: Sample) -> bool:
    return b"openinference.span.kind" in sample.head or b"llm.input_messages" in sample.head


def _opencode(sample: Sample) -> bool:
    return any(sample.has(*keys) for keys in (("info", "messages"), ("sessionID", "role"), ("projectID", "directory")))


def _batch(sample: Sample) -> bool:
    return sample.has("custom_id") and bool({"body", "params", "response", "result"} & sample.first.keys())


def _anthropic_reply(sample: Sample) -> bool:
    return sample.first.get("type") == "message" and sample.has("role", "content", "stop_reason")


FOREIGN: tuple[tuple[str, Fits], ...] = (
    ("a Codex rollout", _codex),
    ("a SQLite database (Cursor, Open WebUI, Copilot and others keep chats in one)", _text(r"\ASQLite format 3")),
    ("a Cursor chat", _cursor),
    ("a DeepSeek export", _deepseek),
    ("a Grok export", _grok),
    (
        "Gemini activity of Google Takeout",
        _takeout,
    ),
    ("a Gemini CLI session", _first("projectHash", "messages")),
    ("a Gemini CLI log", _first("sessionId", "messageId", "type", "message")),
    ("a Google AI Studio prompt", _first("chunkedPrompt")),
    ("Gemini contents (role and parts)", lambda s: s.has("role", "parts") and "id" not in s.first),
    (
        "a GitHub Copilot chat of VS Code",
        _copilot_chat,
    ),
    ("a GitHub Copilot CLI session", _types("session.start", "user.message", "assistant.message")),
    ("an Aider chat history", _text(r"^# aider chat started at ")),
    ("LangSmith runs", lambda s: s.has("run_type") or s.any_row("run_type")),
    (
        "serialized LangChain messages",
        _langchain,
    ),
    ("an Open WebUI export", lambda s: "history" in object_or_empty(s.first.get("chat"))),
    ("a LibreChat export", lambda s: s.has("conversationId") and ("messages" in s.first or "messagesTree" in s.first)),
    ("a SillyTavern chat", lambda s: s.any_row("mes", "is_user") or s.has("user_name", "character_name")),
    ("Langfuse traces", lambda s: s.has("projectId", "observations") or s.has("traceId", "startTime", "type")),
    ("Helicone requests", lambda s: s.has("request_body") or s.has("request_created_at")),
    ("Weights & Biases Weave calls", _first("op_name", "trace_id")),
    (
        "OpenInference spans (Phoenix)",
        _openinference,
    ),
    ("a Cline or Roo Code task", _cline),
    ("a Continue session", lambda s: s.has("sessionId", "history") and "message" in _inner(s.first["history"])),
    (
        "an opencode session",
        _opencode,
    ),
    ("a Zed thread", _zed),
    ("a pi or OpenClaw session", lambda s: "message" in s.row_types() and s.any_row("type", "message", "parentId")),
    ("a Mistral Le Chat export", _first("chatId", "role", "content")),
    ("a Perplexity export", lambda s: s.has("query_str") or s.has("threads")),
    ("a TypingMind export", lambda s: "chats" in object_or_empty(s.first.get("data"))),
    ("a Chatbot UI export", _first("history", "folders", "prompts")),
    ("a text-generation-webui chat", _first("internal", "visible")),
    ("an LM Studio conversation", _messages("versions", "currentlySelected")),
    ("a Character.AI export", lambda s: s.has("histories") or s.has("character", "turns")),
    ("a KoboldAI story", _first("savedsettings")),
    ("ShareGPT conversations", _sharegpt),
    ("Alpaca instructions", _first("instruction", "output")),
    (
        "batch requests of an API",
        _batch,
    ),
    ("replies of the OpenAI API", _openai_reply),
    (
        "a reply of the Anthropic API",
        _anthropic_reply,
    ),
    ("messages of the Vercel AI SDK", _first("id", "role", "parts")),
    ("a Slack export", lambda s: s.first.get("type") == "message" and s.has("user", "ts")),
    ("a Discord export", _first("guild", "channel", "messages")),
    ("a Telegram export", lambda s: s.has("messages", "id") and s.has("name", "type")),
    ("a Facebook or Instagram export", _messages("sender_name", "timestamp_ms")),
    ("a WhatsApp chat", _text(r"^\[?\d{1,4}[./-]\d{1,2}[./-]\d{2,4},? \d{1,2}:\d{2}.{0,12}[\]-] [^:\n]{1,60}: ")),
    ("chat messages of an API (fine-tuning)", _fine_tuning),
    ("a list of API messages (role and content)", lambda s: bool(s.items) and s.has("role", "content")),
)
"""(tool, whether a sample is of it), the specific before the general."""
