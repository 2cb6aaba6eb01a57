"""The end of a demo: totals as lines. Pure."""

from collections import Counter
from collections.abc import Iterator
from textwrap import wrap

from endocrine.pipeline.local.live.totals import Totals
from endocrine.pipeline.views.text_width import clean, signed

_WIDTH = 21
"""Cells of the names."""
_LINE = 79
"""Longer lines go on under themselves, so that 80 columns are enough."""


def summary(totals: Totals, records: int, seconds: float) -> list[str]:
    """Return lines without colour. records: fed. seconds: how long it took, the only line that differs between equal
    runs."""
    turns = +totals.turns
    lines = [
        _row("records fed", str(records)),
        _row("turns", f"{turns.total()} ({_counts(turns)}), {totals.revisions} later revisions"),
        _row("refused turns", _counts(totals.refused)),
        _row("tool decisions", f"{totals.decisions.total()} ({_counts(totals.decisions)})"),
        _row("incidents", f"{totals.incidents.total()} ({_counts(totals.incidents)})"),
        *_styles(totals),
        _row("attribution states", f"{(+totals.states).total()} ({_counts(totals.states)})"),
        _row("attribution changes", f"{totals.transitions} transitions, {totals.suspicions} suspicions"),
        _row("bonds", f"{(+totals.bonds).total()} ({_counts(totals.bonds)})"),
        _row("bond events", f"{totals.bond_events.total()} ({_counts(totals.bond_events)})"),
        _row("memories", f"{(+totals.memories).total()} ({_counts(totals.memories)})"),
        _row("conflicts", f"{(+totals.conflicts).total()} ({_counts(totals.conflicts)})"),
        _row("dead letters", f"{totals.dead.total()}" + (f" ({_counts(totals.dead)})" if totals.dead else "")),
        *(_row("records derived" if first else "", text) for first, text in _records(totals)),
        _row("took", f"{seconds:.1f} s"),
    ]
    return [
        part
        for line in lines
        for part in wrap(clean(line), _LINE, subsequent_indent=" " * _WIDTH, break_on_hyphens=False)
    ]


def _row(name: str, text: str) -> str:
    return f"{name:<{_WIDTH}}{text}"


def _counts(counts: Counter[str]) -> str:
    found = sorted((+counts).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {name}" for name, count in found) or "none"


def _styles(totals: Totals) -> Iterator[str]:
    locked = sorted(name for name, table in totals.styles.items() if table["locked"])
    yield _row("style tables", f"{len(totals.styles)}, locked: {', '.join(locked) or 'none'}")
    for name, table in sorted(totals.styles.items()):
        deltas = (
            f"temperature {signed(table['temperature_delta'])}, top_p {signed(table['top_p_delta'])},"
            f" memory {signed(table['memory_write_boost'])}, {table['cards']} cards"
        )
        yield _row("", f"{name}: {deltas}")


def _records(totals: Totals) -> Iterator[tuple[bool, str]]:
    yield True, str(totals.records.total())
    for topic, count in sorted(totals.records.items()):
        yield False, f"{topic} {count}"
