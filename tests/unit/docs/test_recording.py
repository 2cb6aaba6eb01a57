"""The recording of the live view: the same every time, well formed, and nothing of other hosts in it."""

import re
from pathlib import Path
from xml.etree import ElementTree

from reference.recording import FRAMES, recording

COMMITTED = Path(__file__).parents[3] / "docs" / "recording.svg"


def test_the_recording_is_the_same_every_time_and_moves():
    drawn = recording()
    assert drawn == recording()
    root = ElementTree.fromstring(drawn)
    assert len([part for part in root if part.get("class", "").startswith("frame ")]) == FRAMES
    assert "prefers-reduced-motion" in drawn


def test_the_committed_recording_is_whole_and_asks_no_other_host():
    text = COMMITTED.read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    assert set(re.findall(r"https?://[^\"'\s)]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "retrieve_knowledge" in text.replace("&#160;", " ")
