"""What would have been, as JSON, CSV or one HTML page."""

import csv
import io
from collections import Counter
from html import escape
from typing import Any

import orjson

from endocrine.pipeline.core.time_format import show_time
from endocrine.pipeline.replay.what_if import COMPARED, WhatIf
from endocrine.pipeline.replay.what_if_text import sentences

FORMS = ("text", "json", "csv", "html")
EXAMPLES = 200
"""Changes on an HTML page."""
_COLUMNS = ("kind", "topic", "id", "identity", "audit_id", "at", "path", "recorded", "other")
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.3rem .6rem;"
    "border-bottom:1px solid #8885;vertical-align:top;overflow-wrap:anywhere}"
    ":root{color-scheme:light dark}"
)


def written(found: WhatIf, form: str) -> bytes:
    """Return the report in one of FORMS."""
    return {"text": _text, "json": _json, "csv": _csv, "html": _html}[form](found)


def plain(found: WhatIf) -> dict[str, Any]:
    """Return the report as JSON values."""
    return {
        "policy": found.policy,
        "sentences": sentences(found)[:-1],  # the last one names this form
        "inputs": found.inputs,
        "baseline": {"as_recorded": found.as_recorded, "otherwise": found.otherwise},
        "topics": {
            topic: {
                "same": found.same[topic],
                **{change: found.counts[topic, change] for change in ("changed", "new", "gone")},
            }
            for topic in COMPARED
        },
        "fields": {
            topic: dict(Counter({path: n for (name, path), n in found.fields.items() if name == topic}).most_common())
            for topic in COMPARED
        },
        "changes": found.changes,
        "unknown": {"counts": dict(found.unknown.counts), "told": found.unknown.examples},
    }


def _text(found: WhatIf) -> bytes:
    return "".join(f"{line}\n" for line in sentences(found)).encode()


def _json(found: WhatIf) -> bytes:
    return orjson.dumps(plain(found), option=orjson.OPT_INDENT_2) + b"\n"


def _csv(found: WhatIf) -> bytes:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(_COLUMNS)
    for one in found.changes:
        start = [one["change"], one["topic"], one["id"], one["identity"], one["audit_id"], one["at"]]
        for at in one["fields"] or [{"path": "$", "recorded": "", "other": ""}]:
            table.writerow([*map(_safe, start), at["path"], _safe(_cell(at["recorded"])), _safe(_cell(at["other"]))])
    for one in found.unknown.examples:
        names = [one.get(name) for name in ("call_id", "identity", "audit_id")]
        table.writerow(["unknown", one["topic"], *map(_safe, names), "", one["kind"], "", ""])
    return text.getvalue().encode()


def _safe(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return "'" + cell if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _html(found: WhatIf) -> bytes:
    report = plain(found)
    counts = [[topic, *about.values()] for topic, about in report["topics"].items()]
    paths = [[topic, path, n] for topic, about in report["fields"].items() for path, n in about.items()]
    changes = [
        [
            one["change"],
            one["topic"],
            one["identity"],
            one["audit_id"],
            show_time(one["at"] / 1000),
            "; ".join(f"{at['path']}: {_cell(at['recorded'])} → {_cell(at['other'])}" for at in one["fields"][:8]),
        ]
        for one in found.changes[:EXAMPLES]
    ]
    unknown = [[one["kind"], one["topic"], one.get("identity"), one.get("call_id")] for one in found.unknown.examples]
    base = report["baseline"]
    parts = [
        f"<h1>What if: policy {escape(found.policy[:12])}</h1>",
        f"<p>{found.inputs} records from outside. Under the policies in force, {base['as_recorded']} records come out "
        f"as they are on the topics, {base['otherwise']} otherwise (a live run may read in another order).</p>",
        _table("Changes", ["topic", "same", "changed", "new", "gone"], counts),
        _table("Fields", ["topic", "path", "records"], paths),
        _table(f"Examples (the first {EXAMPLES})", ["change", "topic", "identity", "turn", "at", "fields"], changes),
        _table("Unknown", ["kind", "topic", "identity", "call"], unknown[:EXAMPLES]),
    ]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>What if</title>'
    page = (
        f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body>{"".join(parts)}</body></html>'
    )
    return page.encode()


def _table(title: str, names: list[str], rows: list[list[Any]]) -> str:
    if not rows:
        return f"<h2>{escape(title)}</h2><p>None.</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape('' if cell is None else str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<h2>{escape(title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
