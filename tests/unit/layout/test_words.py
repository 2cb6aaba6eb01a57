"""Prose and names use the field's words: those of a closed list do not come back into the cleaned folders.

A line that needs such a word because a contract or data holds it is named in `CONTRACTS`, by its file and a part of it.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FORBIDDEN = {
    "told": "logged, listed, given; message, detail",
    "said": "produced, reported; record, output",
    "stands": "is, contains",
    "stood": "was",
    "spoken": "produced",
    "spoke": "produced",
    "speaks": "produces, uses",
    "remember": "keep, checkpoint",
    "remembers": "keeps",
    "remembered": "kept; state",
    "thought": "processed",
    "mend": "repair",
    "mended": "repaired",
    "misfit": "misrouted record",
    "house": "deployment",
    "comes of": "the result of",
    "came of": "the result of",
    "what comes to": "the result of",
    "how-manieth": "index",
    "is none": "is not a (`there is none` is good English, and taken)",
}
"""Word, and what to write for it."""
FOLDERS = ("agents", "pipeline", "schemas", "config", "docs", "clients/python", "tests/support")
LEFT_OUT = ("docs/reference/",)
"""Written from code of other folders."""
CONTRACTS = {
    ("agents/_shared/shapes.py", '"said"'),  # name of a finder in policies and reports
    ("agents/conversation/reasoning.py", "thought|reasoning"),  # tags of models
    ("agents/conversation/state.py", "said: NotRequired"),  # key of a state, as the two below
    ("agents/conversation/tool_calls.py", 'turn["said"]'),
    ("agents/conversation/tool_calls.py", 'pop("said"'),
    ("config/conversation.yaml", "none that stands in it"),  # text for models, part of the policy's digest
    ("config/heuristics.yaml", "as you said"),  # what users write
    ("config/moderation.yaml", "previously|told"),
    ("config/moderation.yaml", "written, writing, say, says, said"),  # words before quotations, as the next line
    ("config/moderation.yaml", "told, telling"),
    ("config/policy.yaml", "thought. Offer"),  # text for models
    ("config/scripted.yaml", "It said:"),
    ("docs/chaos.md", "said twice"),  # kind of a finding, as below
    ("docs/replay.md", "said twice"),
    ("docs/ingest.md", "You said:"),  # heading of pasted chats, as in ingest
    ("docs/models.md", "<thought>"),
    ("docs/redaction.md", "| said |"),
    ("pipeline/cli/dlq.py", "invalid, misfit"),  # the same, in a help text
    ("pipeline/cli/memory.py", "told"),  # name of a variable, until its lines are changed next
    ("pipeline/connectors/model/chunks.py", "thinking|thought"),  # tags of models
    ("pipeline/gateway/problems.py", "speaks for another identity"),  # the title of a problem: clients show it
    ("pipeline/core/batch.py", '"misfit"'),  # error kind of a dead letter
    ("pipeline/views/metrics/catalogue.py", '"misfit"'),  # the same, as a label
    ("pipeline/data/ingest/text.py", " said"),
    ("pipeline/console/reports.py", '"told"'),  # the same field, read
    ("pipeline/replay/audit_chain/links.py", "told"),  # field of a finding in reports
    ("pipeline/replay/comparison.py", '"said twice"'),
    ("pipeline/replay/what_if_report.py", '"told"'),
}
"""(file, part of the line) that keep the word."""
PATTERN = re.compile(rf"(?<!\w)(?<!there )(?:{'|'.join(FORBIDDEN)})(?!\w)")
SUFFIXES = (".py", ".md", ".yaml")


def uses(path, text):
    """(line, word) of each forbidden word in a file, without the lines that a contract needs."""
    kept = [part for file, part in CONTRACTS if file == path]
    for number, line in enumerate(text.splitlines(), 1):
        found = PATTERN.search(line)
        if found and not any(part in line for part in kept):
            yield number, found.group()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_has_none_of_the_forbidden_words(folder):
    files = sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES)
    assert files
    names = [(path, path.relative_to(ROOT).as_posix()) for path in files]
    found = [
        f"{name}:{line}: {word!r}; write: {FORBIDDEN[word]}"
        for path, name in names
        if not name.startswith(LEFT_OUT)
        for line, word in uses(name, path.read_text())
    ]
    assert found == []


def test_every_exception_is_still_needed():
    texts = {file: (ROOT / file).read_text() for file, _ in CONTRACTS}
    needed = {
        (file, part)
        for file, part in CONTRACTS
        for line in texts[file].splitlines()
        if part in line and PATTERN.search(line)
    }
    assert needed == CONTRACTS


def test_a_forbidden_word_is_found_alone_and_not_in_a_name():
    text = "commands_remembered = 1\nx = told  # why\nreturn None if x is None else x\n"
    assert list(uses("agents/audit/agent.py", text)) == [(2, "told")]
