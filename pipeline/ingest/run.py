"""Reading an input whole: the formats, and the way from bytes to counted records."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import BinaryIO

import yaml

from agents.capture.rules import HeuristicRules
from pipeline.ingest import behave_jsonl, chatgpt_export, claude_transcript, jsonl, text
from pipeline.ingest.model import Noted, Options, Pieces, Record, Refused, Skipped, Tally, Turn
from pipeline.ingest.order import in_time_order
from pipeline.ingest.records import Recorder


@dataclass(frozen=True, slots=True)
class Format:
    """One format of input."""

    read: Callable[[BinaryIO, str, Options], Pieces]
    default_identity: str | None = None
    """Whose turns they are where no identity is given; None: the records name theirs."""
    takes_identity: bool = True
    by_time: bool = False
    """The file is not in the order of event time, so its records are put in that order."""


FORMATS = {
    "jsonl": Format(jsonl.read, takes_identity=False),
    "behave-jsonl": Format(behave_jsonl.read),
    "chatgpt-export": Format(chatgpt_export.read, "chatgpt-user", by_time=True),
    "claude-transcript": Format(claude_transcript.read, "claude-user", by_time=True),
    "text": Format(text.read, "text-user"),
}


class Stopped(Exception):
    """Strict reading met something it had to refuse."""


def shipped_rules() -> HeuristicRules:
    """The heuristics of config/heuristics.yaml."""
    text = resources.files("config").joinpath("heuristics.yaml").read_text(encoding="utf-8")
    return HeuristicRules.model_validate(yaml.safe_load(text))


def ingest(
    stream: BinaryIO,
    name: str,
    format_name: str,
    options: Options,
    tally: Tally,
    refuse: Callable[[Refused], None] = lambda refused: None,
    *,
    strict: bool = False,
) -> Iterator[Record]:
    """The records of an input, counted in `tally`; what is refused is handed to `refuse` at once.

    Raises Stopped after the first refusal where `strict`; a format that is put in the order of time has given no
    record by then.
    """
    form = FORMATS[format_name]
    pieces = form.read(stream, name, options)
    if form.default_identity is not None:
        pieces = _recorded(pieces, Recorder(format_name, options.identity or form.default_identity, options))
    records = _counted(pieces, tally, refuse, strict)
    return in_time_order(records) if form.by_time else records


def _recorded(pieces: Pieces, recorder: Recorder) -> Pieces:
    for piece in pieces:
        if isinstance(piece, Turn):
            yield from recorder.records(piece)
        else:
            yield piece


def _counted(pieces: Pieces, tally: Tally, refuse: Callable[[Refused], None], strict: bool) -> Iterator[Record]:
    for piece in pieces:
        match piece:
            case Record():
                tally.records += 1
                tally.turns += piece.topic == "interactions" and piece.value["kind"] == "opened"
                yield piece
            case Skipped(reason):
                tally.skipped[reason] += 1
            case Noted(what):
                tally.noted[what] += 1
            case Refused():
                tally.refused += 1
                refuse(piece)
                if strict:
                    raise Stopped
