"""Pages from templates: everything that is put in is escaped, and what is missing is an error, not a gap."""

import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined

from endocrine.pipeline.console.links import ROOT
from endocrine.pipeline.views.explain.sections import plain

STATIC = files("endocrine.pipeline.console").joinpath("static")
MODES = {
    "strict": "the tightest limits: few tools, low temperature",
    "balanced": "the ordinary limits of the policy",
    "creative": "the widest limits that the policy allows",
}
"""The safety modes, each with its meaning in one line."""


@cache
def asset(name: str) -> str:
    """Return the address of a file of ours; it changes with the content, so browsers may keep it for ever."""
    digest = hashlib.sha256(STATIC.joinpath(name).read_bytes()).hexdigest()[:16]
    return f"{ROOT}/static/{name}?v={digest}"


def moment(seconds: float | None) -> str:
    """Return a time as people read it, in UTC.

    >>> moment(0), moment(None)
    ('1970-01-01 00:00:00', '-')
    """
    if seconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return plain(seconds)


def duration(seconds: float) -> str:
    """Return a time that is left, as people read it; console.js counts on in the same words.

    >>> duration(3725), duration(65), duration(9), duration(0)
    ('1 h 2 min', '1 min 5 s', '9 s', 'time is up')
    """
    whole = int(seconds)
    if whole <= 0:
        return "time is up"
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def short(name: str) -> str:
    """Return an id as a list shows it: whole where it has room, else its beginning.

    >>> short("turn-9"), short("turn-204be50049474b508d793f8718711398")
    ('turn-9', 'turn-204be500494…')
    """
    return name if len(name) <= 20 else f"{name[:16]}…"


def grouped(number: int) -> str:
    """Return a whole number with its thousands apart.

    >>> grouped(1234567)
    '1,234,567'
    """
    return f"{number:,}"


def span(seconds: float) -> str:
    """Return a length of time as policies mean it: in the largest unit that leaves no rest.

    >>> span(86400), span(5400), span(604800)
    ('24 h', '90 min', '7 days')
    """
    whole = int(seconds)
    for unit, name, least in ((86_400, "days", 2), (3600, "h", 1), (60, "min", 1)):
        if whole % unit == 0 and whole // unit >= least:
            return f"{whole // unit} {name}"
    return f"{seconds:g} s"


def pretty(value: Any) -> str:
    """Return a value as indented JSON."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("endocrine.pipeline.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "plain": plain,
        "moment": moment,
        "pretty": pretty,
        "duration": duration,
        "grouped": grouped,
        "span": span,
        "short": short,
    }
    made.globals |= {"asset": asset, "modes": MODES, "root": ROOT}
    return made


def rendered(template: str, **data: Any) -> bytes:
    """Return a page. Raises UndefinedError where the template shows what is not given."""
    return _environment().get_template(template).render(data).encode("utf-8", "replace")
