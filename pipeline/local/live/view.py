"""The view's state as lines that fill a terminal exactly: nothing wraps, nothing overlaps, at any size. Pure."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from endocrine.pipeline.local.live.status import Status
from endocrine.pipeline.local.live.view_state import ViewState
from endocrine.pipeline.views.describe import why
from endocrine.pipeline.views.text_width import fit, number, signed, wrapped

MODES = {"strict": "bold white on red", "balanced": "bold white on blue", "creative": "bold white on magenta"}
STATES = {"unknown": "dim", "stable": "green", "drifting": "yellow", "conflicted": "red", "multi_actor": "bold magenta"}
_HEAD = 2
_FOOT = 2
"""Legend, and the last warning or dead letter; a long one takes both lines."""
_TITLES = 2
"""Lines of a section above its rows: title, names of its columns."""
_SHARES = (0.42, 0.31, 0.27)
"""Of the rows there are: turns, tools and attribution, style and bonds."""
_WIDE = 110
"""Cells from which turns show more."""
_WRAPPED = 3
"""Lines of a row whose last column does not fit in one."""
_LEGEND = (
    "✓ allowed", "✗ denied", "… waits for a person", "! incident",
    "why: signals used, tighten: blocked tool, lock: drift lock, review: look at it",
)  # fmt: skip
_MIN_ROWS = 3 * (_TITLES + 1) + _HEAD + _FOOT
_MIN_WIDTH = 40
"""A lower or narrower terminal shows turns only."""
_GAP = 2
_CONSOLE = Console(width=80, force_terminal=True, color_system="truecolor", legacy_windows=False)
"""Lays out tables; nothing is written to it."""


class Column(NamedTuple):
    """A column: name, cells it takes (0: what the others leave; one of a section), what it shows and how."""

    name: str
    width: int
    show: Callable[[Any], Any]
    style: Callable[[Any], str] = lambda row: ""
    right: bool = False
    wraps: bool = False
    """The last column of a section: what does not fit goes on below, broken between words."""


def screen(state: ViewState, status: Status, width: int, height: int) -> list[Text]:
    """Return `height` lines of `width` cells."""
    lines = _header(status, width)
    rows = height - _HEAD - _FOOT
    if height < _MIN_ROWS or width < _MIN_WIDTH:
        lines += _section("Turns", "", _turns(width), _newest(state.turns), width, rows)
    else:
        data = rows - 3 * _TITLES
        middle, low = max(1, int(data * _SHARES[1])), max(1, int(data * _SHARES[2]))
        left = (width - _GAP) // 2
        right = width - _GAP - left
        lines += _section(
            "Turns", "newest first", _turns(width), _newest(state.turns), width, data - middle - low + _TITLES
        )
        lines += _beside(
            _section("Tools", "! is an incident", TOOLS, state.tools, left, middle + _TITLES),
            _section("Attribution", "never certain", _changes(right), state.changes, right, middle + _TITLES),
        )
        lines += _beside(
            _section("Style tables", "from feedback", STYLES, _newest(state.styles), left, low + _TITLES),
            _section("Bonds", _event_of(state), BONDS, _newest(state.bonds), right, low + _TITLES),
        )
    return [*lines[: height - _FOOT], *_foot(state, status, width)][-height:]


def _newest(rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return list(reversed(rows.values()))


def _event_of(state: ViewState) -> str:
    event = state.bond_event
    return f"{event['identity']}: {event['detail']}" if event else ""


def _header(status: Status, width: int) -> list[Text]:
    title = f" endocrine {status.command} "
    rest = f"  {status.bootstrap}  worker {status.worker}"
    end = "Ctrl-C ends it "
    first = Text(fit(title, min(width, len(title))), style="bold white on dark_green")
    first.append(fit(rest, max(0, width - len(title) - len(end))), style="default on default")
    first.append(fit(end, min(len(end), max(0, width - len(title)))), style="dim default on default")
    if status.to_feed:
        done = round(10 * status.fed / status.to_feed)
        fed = f"fed {'█' * done}{'░' * (10 - done)} {status.fed}/{status.to_feed}"
    else:
        fed = f"fed {status.fed} (round {status.round})"
    figures = f" {fed} {status.fed_rate:.1f}/s · derived {status.derived} {status.derived_rate:.1f}/s"
    figures += f" · dead letters {status.dead}" if status.dead else ""
    figures += f" · lag {sum(status.lag.values())}"
    return [first, Text(fit(figures + _agents_behind(status, width - cell_len(figures)), width))]


def _agents_behind(status: Status, width: int) -> str:
    """The lag of each agent that has one, the greatest first; what does not fit is counted, not cut."""
    behind = sorted((-count, agent) for agent, count in status.lag.items() if count)
    for shown in range(len(behind), 0, -1):
        rest = f", {len(behind) - shown} more" if shown < len(behind) else ""
        listed = f" ({', '.join(f'{agent} {-count}' for count, agent in behind[:shown])}{rest})"
        if cell_len(listed) <= width:
            return listed
    return ""


def _foot(state: ViewState, status: Status, width: int) -> list[Text]:
    """Two lines: the legend above what was last to be known, or a long message alone."""
    message, style = "", ""
    if status.note:
        message, style = status.note, "bold yellow"
    elif state.dead:
        message, style = f"dead letter: {state.dead['topic']}: {state.dead['error']}", "red"
    elif status.gateway:
        message, style = status.gateway, "dim"
    lines = [Text(fit(f" {line}", width), style=style) for line in wrapped(message, width - 1, _FOOT)]
    legend = Text(fit(_legend(width), width), style="dim")
    return [legend, *(lines or [Text(fit("", width))])] if len(lines) < _FOOT else lines


def _legend(width: int) -> str:
    """As many of its parts as fit whole."""
    text = ""
    for part in _LEGEND:
        if cell_len(text) + len(part) + 2 > width:
            break
        text += f"  {part}" if text else f" {part}"
    return text


def _section(
    title: str, aside: str, columns: Sequence[Column], rows: Iterable[Any], width: int, height: int
) -> list[Text]:
    """Title, names, rows: exactly `height` lines of `width` cells."""
    lead = f"─ {title} "
    heading = Text(fit(lead, min(width, len(lead))), style="bold cyan")
    heading.append(_ruled(aside, width - len(lead)), style="not bold dim")
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=True, header_style="dim")
    for column in columns:
        justify: JustifyMethod = "right" if column.right else "left"
        table.add_column(
            Text(column.name),
            width=column.width or None,
            ratio=None if column.width else 1,
            no_wrap=True,
            justify=justify,
        )
    open_width = _open_width(columns, width)
    for row in islice(rows, max(0, height - _TITLES)):
        table.add_row(*(_cell(column, row, column.width or open_width) for column in columns))
    options = _CONSOLE.options.update(width=width)
    lines = Segment.set_shape(_CONSOLE.render_lines(table, options), width, max(0, height - 1))
    return [heading, *(Text.assemble(*((part.text, part.style or "") for part in line)) for line in lines)][:height]


def _cell(column: Column, row: Any, width: int) -> Text:
    value, style = column.show(row), column.style(row)
    if column.wraps:
        return Text("\n".join(wrapped(value, width, _WRAPPED)), style)
    # Filled here, so that its style reaches over the whole cell.
    return Text(fit(value, width, right=column.right), style)


def _open_width(columns: Sequence[Column], width: int) -> int:
    """Cells of the one column that takes what the others leave."""
    return max(1, width - sum(column.width for column in columns) - (len(columns) - 1))


def _ruled(aside: str, width: int) -> str:
    if width < 6:
        return "─" * max(0, width)
    note = fit(aside, min(len(aside), width - 4))
    return "─" * (width - len(note) - 3) + f" {note} ─" if note else "─" * width


def _beside(left: list[Text], right: list[Text]) -> list[Text]:
    return [Text.assemble(one, " " * _GAP, other) for one, other in zip(left, right, strict=True)]


def _turns(width: int) -> tuple[Column, ...]:
    wide = width >= _WIDE
    return (
        Column("turn", 24 if wide else 13, lambda row: row["audit_id"]),
        Column("rev", 3, lambda row: row["revision"], right=True),
        Column("mode", 10, lambda row: f" {row['mode']}", lambda row: MODES[row["mode"]]),
        _parameter("temp", "temperature", 4),
        *((_parameter("top_p", "top_p", 5),) if wide else ()),
        Column("tokens", 6, lambda row: row["parameters"]["max_output_tokens"], right=True),
        _parameter("effort", "reasoning_effort", 6),
        Column("tools", 27 if wide else 17, lambda row: "+".join(row["parameters"]["tool_allowlist"]) or "none"),
        Column("why", 0, why, lambda row: "bold red" if row["refusal"] else "dim", wraps=True),
    )


def _parameter(name: str, parameter: str, width: int) -> Column:
    return Column(name, width, lambda row: f"{row['parameters'][parameter]:.2f}", right=True)


def _outcome(row: dict[str, Any]) -> tuple[str, str, str]:
    """Mark, text, style of a decision or an incident."""
    if "incident_id" in row and "decision" not in row:
        return "!", row["reason"], "bold red"
    if row["incident_id"]:
        return "!", row["reason"], "bold red"
    return {
        "allowed": ("✓", "allowed", "green"),
        "denied": ("✗", row["reason"], "yellow"),
        "pending": ("…", row["reason"], "cyan"),
    }[row["decision"]]


TOOLS = (
    Column("who", 7, lambda row: row["identity"]),
    Column("function", 0, lambda row: row["function"] if "function" in row else row["kind"]),
    Column("", 1, lambda row: _outcome(row)[0], lambda row: _outcome(row)[2]),
    Column("outcome", 16, lambda row: _outcome(row)[1], lambda row: _outcome(row)[2]),
)


def _changes(width: int) -> tuple[Column, ...]:
    wide = width >= 60
    columns = [
        Column("who", 10, lambda row: row["identity"]),
        Column("primitive", 0, lambda row: _primitive(row, short=not wide)),
        Column("now", 11, lambda row: row.get("new_state", "SUSPECTED"), _state_style),
        Column("conf", 4, lambda row: number(row["confidence"]), right=True),
    ]
    if wide:
        columns.insert(2, Column("was", 11, lambda row: row.get("old_state", ""), lambda row: "dim"))
    return tuple(columns)


def _primitive(row: dict[str, Any], *, short: bool) -> str:
    names = [row["primitive"]] if "primitive" in row else row["primitives"]
    shown = [name.rpartition(".")[2] if short else name for name in names]
    return shown[0] if "primitive" in row else f"{len(shown)}: {', '.join(shown)}"


def _state_style(row: dict[str, Any]) -> str:
    return STATES[row["new_state"]] if "new_state" in row else "bold white on magenta"


def _signed(name: str, column: str) -> Column:
    return Column(column, 5, lambda row: signed(row[name]), right=True)


STYLES = (
    Column("who", 0, lambda row: row["identity"]),
    _signed("temperature_delta", "temp"),
    _signed("top_p_delta", "top_p"),
    _signed("memory_write_boost", "mem"),
    Column("cards", 5, lambda row: row["cards"], right=True),
    Column("lock", 6, lambda row: "LOCKED" if row["locked"] else "", lambda row: "bold red"),
)
BONDS = (
    Column("who", 0, lambda row: row["user_id"]),
    Column("phase", 9, lambda row: row["phase"]),
    Column("risk", 8, lambda row: row["risk_level"], lambda row: "" if row["risk_level"] == "low" else "bold red"),
    Column("peaks", 5, lambda row: len(row["peak_nodes"]), right=True),
    Column("today", 6, lambda row: _today(row), right=True),
)


def _today(row: dict[str, Any]) -> str:
    cap = row["daily_msg_cap"]
    return f"{row['daily_msg_count']}/{cap}" if cap else str(row["daily_msg_count"])
