"""The page on upgrades has the formats of the code, and the histories that are there."""

import re
from pathlib import Path

from endocrine.pipeline.core.formats import FORMATS, readable
from recorded_releases import releases

PAGE = (Path(__file__).parents[3] / "docs" / "upgrades.md").read_text(encoding="utf-8")


def test_the_table_of_formats_is_that_of_the_code() -> None:
    for kind in FORMATS:
        assert f"| {kind.name} | {kind.writes} | {readable(kind)} | {kind.where} |" in PAGE


def test_every_recorded_history_is_in_the_table_with_its_commit() -> None:
    for one in releases():
        row = re.search(rf"^\| `{re.escape(one.name)}` \|.*\| version (\d+) \|$", PAGE, re.MULTILINE)
        assert row, one.name
        assert one.manifest["writes"]["checkpoint"] == [int(row[1])]
