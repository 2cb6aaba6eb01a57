"""Write docs/licences.md: `python -m licences`. Exit code 1 where a licence is unclear or not allowed."""

import sys
from pathlib import Path

from licences.allowed import refused
from licences.page import NAME, page, sections

root = Path(__file__).parents[3]
(root / NAME).write_text(page(root), encoding="utf-8")
bad = [one for rows in sections(root).values() for one in rows if refused(one.licence)]
for one in bad:
    print(f"{one.name}: {one.licence} ({one.source}); read its licence, then tests/support/licences", file=sys.stderr)
sys.exit(1 if bad else 0)
