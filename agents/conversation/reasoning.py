"""Reasoning that a model writes into its answer, left out: what reaches a user holds summaries, not raw chains.

Servers without a reasoning parser (vLLM, Ollama, llama.cpp, LM Studio, proxies) leave the model's tags in `content`.
What is taken out:
- a block of any of the known tags at the head, with blanks around it; several in a row; one without an end takes all
  (the reply was cut while the model was thinking);
- everything up to a closing tag that has no opening one, where the chat template wrote that one (DeepSeek R1, QwQ);
- a whole `process` block further on;
- every channel but `final`, where the head is one of the harmony format (gpt-oss).
A tag inside backticks (an odd number of them comes before it) is text about tags, and stays.
"""

import re

_HEAD = re.compile(
    r"\s*(?:<(think|thinking|thought|reasoning|seed:think)>|\[(THINK)\]|(\u25c1)think\u25b7)", re.IGNORECASE
)
_CHANNEL = re.compile(r"\s*(?:<\|start\|>assistant)?<\|channel\|>\s*(\w+)(?:[^<]|<\|constrain\|>)*<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|return|call)\|>|(?=<\|start\|>|<\|channel\|>)")
_KIMI_END = re.compile("\u25c1/think\u25b7")
_CLOSED = re.compile(r"</(?:think|thinking)>|\[/THINK\]", re.IGNORECASE)
_OPENED = re.compile(r"<(think|thinking)>|\[(THINK)\]", re.IGNORECASE)


def visible(text: str) -> tuple[str, int]:
    """Return (the text without reasoning, characters of reasoning left out); a text without any as it is.

    >>> visible("<think>A sum.</think>\\n\\nThe answer is 4.")
    ('The answer is 4.', 6)
    >>> visible("Write `<think>` first.")
    ('Write `<think>` first.', 0)
    """
    if _CHANNEL.match(text):
        return _channels(text)
    at, count = 0, 0
    while opened := _HEAD.match(text, at):
        end = _closing(opened).search(text, opened.end())
        count += (end.start() if end else len(text)) - opened.end()
        at = end.end() if end else len(text)
    if at == 0 and (end := _orphan(text)):
        count, at = end.start(), end.end()
    return _without_later_blocks(text[at:].lstrip() if at else text, count)


def _closing(opened: re.Match[str]) -> re.Pattern[str]:
    """The end of the block that a match opens."""
    if opened.re is _HEAD and opened[3]:
        return _KIMI_END
    return re.compile(r"\[/THINK\]" if opened[2] else f"</{opened[1]}>", re.IGNORECASE)


def _channels(text: str) -> tuple[str, int]:
    """The text of a reply in channels, the final one alone, and the characters of the others."""
    kept, at, count = [], 0, 0
    while opened := _CHANNEL.match(text, at):
        end = _CHANNEL_END.search(text, opened.end())
        content = text[opened.end() : end.start() if end else len(text)]
        if opened[1] == "final":
            kept.append(content)
        else:
            count += len(content)
        at = end.end() if end else len(text)
    return "".join([*kept, text[at:]]).strip(), count


def _orphan(text: str) -> re.Match[str] | None:
    """The first closing tag that no opening tag comes before, outside backticks."""
    end = _CLOSED.search(text)
    if end is None or text.count("`", 0, end.start()) % 2:
        return None
    opened = _OPENED.search(text)
    return None if opened is not None and opened.start() < end.start() else end


def _without_later_blocks(text: str, count: int) -> tuple[str, int]:
    kept, at, counted, marks = [], 0, 0, 0
    for opened in _OPENED.finditer(text):
        marks += text.count("`", counted, opened.start())
        counted = opened.start()
        if opened.start() < at or marks % 2:
            continue
        end = _closing(opened).search(text, opened.end())
        if end is None:
            break
        kept.append(text[at : opened.start()])
        count += end.start() - opened.end()
        at = end.end()
    return ("".join([*kept, text[at:]]) if kept else text), count
