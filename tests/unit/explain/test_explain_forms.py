"""The explanation for a person: complete, escaped, and safe to print."""

import dataclasses
from html.parser import HTMLParser

import pytest

from endocrine.pipeline.views.explain.find import Explained
from endocrine.pipeline.views.explain.html import as_html
from endocrine.pipeline.views.explain.lineage import summary
from endocrine.pipeline.views.explain.sections import paragraphs, plain, sections, title
from endocrine.pipeline.views.explain.text import as_text

EVIL = "<script>alert(1)</script>\x1b[31m[bold]‮"


class Page(HTMLParser):
    """Tags opened and the text between them; every tag must be closed in its turn."""

    VOID = ("meta", "!doctype")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + "\n"


def cells(explained: Explained) -> list[str]:
    return [cell for section in sections(explained) for row in section.rows for cell in row]


def test_text_and_page_say_every_word_of_every_section(explained):
    turn = explained()
    text, page = as_text(turn, 200), Page(as_html(turn)).text
    for section in sections(turn):
        assert section.title in text
        assert section.title in page
    for cell in cells(turn):
        assert cell in page
        assert all(line in text for line in cell.split("\n"))
    assert turn.bundle["explanation"] in page


def test_the_heading_gives_the_final_mode_and_a_correction_comes_first(explained):
    turn = explained()
    (first,) = turn.bundle["revisions"][:1]
    late = {**turn.bundle, "supplement": 1, "status": "supplement", "mode": "strict"}
    late |= {"revisions": [{**first, "revision": 1, "mode": "strict"}], "explanation": "Correction: it was strict."}
    bundle = {**turn.bundle, "revisions": [{**first, "mode": "balanced"}], "mode": "balanced"}
    corrected = dataclasses.replace(turn, bundle=bundle, supplements=[late])
    assert title(corrected).endswith("closed; balanced, strict from revision 1")
    assert paragraphs(corrected) == ["Correction: it was strict.", bundle["explanation"]]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_text_is_as_wide_as_asked_and_loses_nothing(explained, width):
    turn = explained()
    text = as_text(turn, width)
    assert max(map(len, text.split("\n"))) <= width
    squeezed = "".join(text.split())
    assert all(name in squeezed for name in ("temperature", "urgency", "schedule_task", "max_output_tokens"))


def test_every_bundle_of_the_scenario_can_be_shown(bundles):
    for bundle in bundles:
        turn = Explained(bundle)
        assert bundle["audit_id"] in as_text(turn)
        Page(as_html(turn))


def test_expressions_of_maps_stand_with_their_steps(explained):
    assert "map (urgency: round(900 - 500*x))" in as_text(explained(), 200)


def test_expressions_that_the_bundle_lacks_come_from_the_published_policy(explained):
    turn = explained(lineage={"top_p": [{"step": "map", "by": "stress", "from": 1, "to": 0.5, "expression": None}]})
    assert "map (stress)" in as_text(turn, 200)
    known = Explained(turn.bundle, maps={"stress": {"top_p": {"expression": "1 - x"}}})
    assert "map (stress: 1 - x)" in as_text(known, 200)


def test_supplements_are_shown_after_the_bundle(explained):
    text = as_text(explained("bob-turn-4"), 200)
    assert "Calls denied (supplement 1)" in text
    assert "the turn was closed" in text


def test_what_a_producer_wrote_is_neither_markup_nor_a_command_to_the_terminal(explained):
    turn = explained(audit_id=EVIL, opened={**explained().bundle["opened"], "client": EVIL}, explanation=EVIL)
    text, page = as_text(turn, 200), as_html(turn)
    for sign in ("\x1b", "‮"):
        assert sign not in text
        assert sign not in page
    assert "[bold]" in text.split("\n")[0]
    assert "script" not in Page(page).seen
    assert "&lt;script&gt;" in page


def test_an_altered_record_is_said_first(explained):
    turn = explained()
    altered = Explained(turn.bundle, altered=[turn.bundle["hash"]])
    assert "WARNING: 1 record(s)" in as_text(altered)
    assert "alert" in as_html(altered)
    assert "WARNING" not in as_text(turn)


def test_a_record_that_is_gone_is_said_to_be_gone(explained):
    text = as_text(explained(), 200)
    assert "m1  in batch modulation/0/7" in text
    assert "i1  no longer there" in text


def test_json_is_the_bundle_as_it_stands(explained):
    turn = explained()
    told = turn.as_json()
    assert told["bundle"] == turn.bundle
    assert told["decided"][0] == {
        "topic": "modulations",
        "id": "m1",
        "cut": "modulation/0/7",
        "version": "0.1.0",
        "policy": "d",
    }


@pytest.mark.parametrize(
    ("value", "told"), [(None, "-"), (0.31999999, "0.32"), (["a", "b"], "a, b"), ([], "none"), ("a\nb", "a�b")]
)
def test_a_value_is_written_as_a_person_would(value, told):
    assert plain(value) == told


def test_time_tokens_and_cost_are_shown_where_the_bundle_has_them(explained):
    turn = explained(
        latency_ms={"total": 12.5, "steps": [{"step": 1, "model_ms": 9.0, "tools_ms": None}]},
        tokens=[{"step": 1, "model": {"input_tokens": 71, "output_tokens": 8}, "tools": None}],
        cost={"currency": "USD", "total": 0.00125, "models": {"m-1": 0.00125, "m-2": None}},
        degraded=["browser"],
    )
    found = {section.title: section.rows for section in sections(turn)}
    assert found["Latency by step"] == [["1", "9", "-"]]
    assert found["Tokens by step"] == [["1", "71", "8", "-"]]
    assert found["Cost by model"] == [["m-1", "0.00125 USD"], ["m-2", "-"]]
    facts = dict(found["Turn"])
    assert (facts["milliseconds"], facts["cost"], facts["degraded tools"]) == ("12.5", "0.00125 USD", "browser")


def test_a_bundle_of_older_code_is_shown_without_them(explained):
    bundle = {name: part for name, part in explained().bundle.items() if name not in ("latency_ms", "tokens", "cost")}
    assert "Cost by model" not in {section.title for section in sections(Explained(bundle))}


STEPS = [
    {"step": "default", "by": "defaults", "from": None, "to": 0.6},
    {"step": "map", "by": "novelty", "from": 0.6, "to": 0.78},
    {"step": "guard", "by": "alignment_risk", "from": 0.78, "to": 0.49},
]
SIGNALS = [
    {"name": "alignment_risk", "level": 0.6, "fate": "used"},
    {"name": "novelty", "level": 0.9, "fate": "capped"},
    {"name": "novelty", "level": 0.1, "fate": "expired"},
]


@pytest.mark.parametrize(
    ("value", "steps", "expected"),
    [
        (0.49, STEPS, "0.49: novelty 0.9 wanted 0.78, guard alignment_risk 0.6"),
        (0.78, STEPS[:2], "0.78: novelty 0.9"),
        (0.6, STEPS[:1], "0.6: the default"),
        (0.6, [*STEPS[:1], {"step": "guard", "by": "x", "from": 0.6, "to": 0.6}], "0.6: the default"),
        (
            "strict",
            [{"step": "tighten", "by": "g/1", "from": "balanced", "to": "strict"}],
            "strict: a blocked tool call",
        ),
        (1, [{"step": "nudge", "by": "style-table", "from": 0.9, "to": 1}], "1: nudge style-table"),
    ],
)
def test_the_making_of_a_parameter_fits_on_a_line(value, steps, expected):
    assert summary(value, steps, SIGNALS) == expected


def test_a_line_of_lineage_holds_no_control_characters():
    steps = [{"step": "map", "by": EVIL, "from": 1, "to": EVIL}, {"step": "guard", "by": EVIL, "from": 1, "to": 2}]
    line = summary(EVIL, steps, [])
    assert not {"\x1b", "\u202e"} & set(line)
