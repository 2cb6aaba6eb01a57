"""The README's walk of one event, and its list of rooms, are of the code as it is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
WALK = (ROOT / "README.md").read_text(encoding="utf-8").partition("## One event, file by file")[2].partition("\n## ")[0]


def test_one_event_goes_through_seven_files_that_are_there():
    rows = re.findall(r"^\| [^|]+ \| `([\w/]+\.py)` \|", WALK, re.MULTILINE)
    assert len(rows) == 7
    assert [file for file in rows if not (ROOT / file).is_file()] == []


def test_every_room_is_listed_in_five_words():
    listed = dict(re.findall(r"\| `(\w+)` \| ([^|`]+) (?=\|)", WALK))
    rooms = {folder.name for folder in (ROOT / "pipeline").iterdir() if (folder / "__init__.py").exists()}
    assert set(listed) == rooms
    assert {room: words for room, words in listed.items() if not 4 <= len(words.split()) <= 6} == {}
