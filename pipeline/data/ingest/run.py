"""Reading an input whole: the formats, and the way from bytes to counted records."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any, BinaryIO, Protocol, cast

import yaml

from endocrine.agents.capture.rules import HeuristicRules
from endocrine.pipeline.data.ingest import (
    behave_jsonl,
    chatgpt_export,
    claude_export,
    claude_transcript,
    jsonl,
    otel_genai,
    text,
)
from endocrine.pipeline.data.ingest.model import LeftOut, Noted, Options, Pieces, Record, Refused, Skipped, Tally, Turn
from endocrine.pipeline.data.ingest.order import TimeOrder
from endocrine.pipeline.data.ingest.recognise import AUTO, choose
from endocrine.pipeline.data.ingest.records import Recorder
from endocrine.pipeline.data.ingest.rewound import Rewound, read_head
from endocrine.pipeline.data.ingest.sample import HEAD_BYTES
from endocrine.pipeline.data.ingest.source import Source, Sources


class Reader(Protocol):
    """Reads the files of one format, one after the other."""

    def read(self, stream: BinaryIO, name: str) -> Pieces:
        """Yield the results of one file."""

    def end(self) -> Pieces:
        """Yield what is left when there are no more files."""


@dataclass(frozen=True, slots=True)
class _FileByFile:
    """The reader of a format whose files have nothing to do with each other."""

    function: Callable[[BinaryIO, str, Options], Pieces]
    options: Options

    def read(self, stream: BinaryIO, name: str) -> Pieces:
        return self.function(stream, name, self.options)

    def end(self) -> Pieces:
        return iter(())


@dataclass(frozen=True, slots=True)
class Format:
    """One format of input."""

    reader: Callable[[Options], Reader]
    expected: str
    """What a file of it is, for refusals."""
    default_identity: str | None = None
    """Whose turns they are where no identity is given; None: the records name theirs."""
    takes_identity: bool = True
    by_time: bool = False
    """The file is not in the order of event time, so its records are put in that order."""


def _each(module: Any) -> Callable[[Options], Reader]:
    return lambda options: _FileByFile(module.read, options)


FORMATS = {
    "jsonl": Format(_each(jsonl), jsonl.EXPECTED, takes_identity=False),
    "behave-jsonl": Format(_each(behave_jsonl), behave_jsonl.EXPECTED),
    "chatgpt-export": Format(_each(chatgpt_export), chatgpt_export.EXPECTED, "chatgpt-user", by_time=True),
    "claude-export": Format(_each(claude_export), claude_export.EXPECTED, "claude-user", by_time=True),
    "claude-transcript": Format(claude_transcript.Reader, claude_transcript.EXPECTED, "claude-user", by_time=True),
    "otel-genai": Format(otel_genai.Reader, otel_genai.EXPECTED, "otel-user", by_time=True),
    "text": Format(_each(text), text.EXPECTED, "text-user"),
}
ANY_FORMAT = f"a file of one of the formats {', '.join(FORMATS)}"


class Stopped(Exception):
    """Strict reading met something it had to refuse."""


def shipped_rules() -> HeuristicRules:
    """Load the heuristics of config/heuristics.yaml."""
    text = resources.files("endocrine.config").joinpath("heuristics.yaml").read_text(encoding="utf-8")
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
    """Yield the records of one input of a known format, counted in `tally` as `ingest_sources` does."""
    run = _Run(options, tally, refuse, strict)
    reader = run.reader(format_name)
    pieces = (piece for part in (reader.read(stream, name), reader.end()) for piece in part)
    return _written(run.records((format_name, piece) for piece in pieces), tally)


def ingest_sources(
    sources: Sources,
    format_name: str,
    options: Options,
    tally: Tally,
    refuse: Callable[[Refused], None] = lambda refused: None,
    *,
    strict: bool = False,
    opened: Callable[[BinaryIO, Source], BinaryIO] = lambda stream, source: stream,
) -> Iterator[Record]:
    """Yield the records of all inputs; each is read as `format_name`, or as what it looks like where that is AUTO.

    A record counts as written when the next one is asked for; what is refused is handed to `refuse` at once. opened: is
    given each stream before it is read, and returns the one to read. Raises Stopped after the first refusal where
    `strict`, Unusable where an input as a whole cannot be read. Formats that are put in the order of event time give
    their records when everything was read, so none where it stops.
    """
    run = _Run(options, tally, refuse, strict)
    return _written(run.records(run.pieces(sources, format_name, opened)), tally)


def _written(records: Iterable[Record], tally: Tally) -> Iterator[Record]:
    for record in records:
        yield record
        tally.wrote(record.topic, record.value)


class _Run:
    """One run over any number of inputs: a reader and a recorder per format, shared by its files."""

    def __init__(self, options: Options, tally: Tally, refuse: Callable[[Refused], None], strict: bool) -> None:
        self._options, self._tally, self._refuse, self._strict = options, tally, refuse, strict
        self._readers: dict[str, Reader] = {}
        self._recorders: dict[str, Recorder] = {}

    def reader(self, format_name: str) -> Reader:
        """Return the reader of a format, made when it is first needed."""
        if format_name not in self._readers:
            self._readers[format_name] = FORMATS[format_name].reader(self._options)
        return self._readers[format_name]

    def pieces(
        self, sources: Sources, format_name: str, opened: Callable[[BinaryIO, Source], BinaryIO]
    ) -> Iterator[tuple[str, Any]]:
        """Yield (format, piece) of all inputs; the format is empty for a piece of none."""
        for source in sources:
            if isinstance(source, Source):
                yield from self._source(source, format_name, opened)
            else:
                self._tally.files["refused" if isinstance(source, Refused) else source.what] += 1
                yield "", source
        for name, reader in self._readers.items():
            yield from ((name, piece) for piece in reader.end())

    def _source(
        self, source: Source, format_name: str, opened: Callable[[BinaryIO, Source], BinaryIO]
    ) -> Iterator[tuple[str, Any]]:
        try:
            with source.open() as raw:
                stream = opened(raw, source)
                head = read_head(stream, HEAD_BYTES)
                expected = ANY_FORMAT if format_name == AUTO else FORMATS[format_name].expected
                chosen = choose(format_name, head, source.name, source.alone, expected)
                if not isinstance(chosen, str):
                    if not source.alone:
                        self._tally.files["refused" if isinstance(chosen, Refused) else chosen.what] += 1
                    yield "", chosen
                    return
                if not source.alone:
                    self._tally.files["read"] += 1
                whole = cast(BinaryIO, Rewound(head, stream))
                yield from ((chosen, piece) for piece in self.reader(chosen).read(whole, source.name))
        except OSError as error:
            if source.alone:
                raise
            yield "", Refused(source.name, f"reading stopped ({error.strerror or error}); expected a whole file")

    def records(self, pieces: Iterator[tuple[str, Any]]) -> Iterator[Record]:
        """Yield the records of all pieces: as they come, then those of formats that are put in the order of time."""
        late = TimeOrder()
        for format_name, piece in pieces:
            for record in self._counted(self._recorded(format_name, piece)):
                if FORMATS[format_name].by_time:
                    late.add(record)
                else:
                    yield record
        yield from late

    def _recorded(self, format_name: str, piece: Any) -> Pieces:
        if not isinstance(piece, Turn):
            yield piece
            return
        if format_name not in self._recorders:
            identity = FORMATS[format_name].default_identity
            assert identity is not None, f"{format_name} gives turns and has no default identity"
            self._recorders[format_name] = Recorder(format_name, identity, self._options)
        yield from self._recorders[format_name].records(piece)

    def _counted(self, pieces: Pieces) -> Iterator[Record]:
        for piece in pieces:
            match piece:
                case Record():
                    yield piece
                case Skipped(reason):
                    self._tally.skipped[reason] += 1
                case Noted(what):
                    self._tally.noted[what] += 1
                case Refused():
                    self._tally.refused += 1
                    self._refuse(piece)
                    if self._strict:
                        raise Stopped
                case LeftOut():
                    pass
