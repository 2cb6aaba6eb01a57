"""All pages that are made from code, whole or in part."""

from pathlib import Path

from agents.roster import AGENTS
from pipeline.reference.markdown import replace_part
from pipeline.reference.records import records_page
from pipeline.reference.settings import settings_page
from pipeline.reference.signals import signal_parts

SIGNALS = "docs/signals.md"


def pages(root: Path) -> dict[str, str]:
    """Path below `root` (a checkout) to text. Pages that are generated in part are read there first.

    Raises OSError where such a page is missing, ValueError where it lacks a part.
    """
    signals = (root / SIGNALS).read_text(encoding="utf-8")
    for name, lines in signal_parts().items():
        signals = replace_part(signals, name, lines)
    return {
        "docs/reference/records.md": records_page(AGENTS),
        "docs/reference/settings.md": settings_page(),
        SIGNALS: signals,
    }
