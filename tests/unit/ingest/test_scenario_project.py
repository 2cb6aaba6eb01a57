"""The project of the bundled scenario: two people, one alias, a conflict resolved, packs that say what is settled."""

from pathlib import Path

import orjson
import pytest

from endocrine.agents.context.pack import Subjects, SubjectView, Views, build_context
from endocrine.agents.names.rules import project_subject
from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.name_table import NameTable
from endocrine.pipeline.core.simulation import Simulation
from endocrine.pipeline.core.sizes import Sizes
from endocrine.pipeline.data import scenario
from endocrine.pipeline.data.context import subjects_of
from endocrine.pipeline.process.policy_files import shipped_policy

PAGE = Path(__file__).parents[3] / "docs" / "scenario.md"
READ = ("trusted-states", "memories", "conflicts")
POLICY = shipped_policy()


class World:
    """What the read models have while rounds of the story are fed, and the packs that they give."""

    def __init__(self):
        self.simulation = Simulation(AGENTS, POLICY, version="0", sizes=Sizes(), partitions=4)
        self.names, self.compacted, self.events = NameTable(), {}, []
        self.packs = {}
        """By turn: what it was given, and what the read models gave."""

    def feed(self, number):
        for line in scenario.repeat(1, start=number):
            value = line["value"]
            if value.get("kind") == "opened" and value.get("project"):
                self.packs[value["audit_id"]] = value, self.pack(value)
            for derived in self.simulation.feed(orjson.dumps(line)):
                assert not derived.dead, derived
                topic, key, content, _ = derived
                if topic in READ:
                    self.compacted[topic, key] = orjson.loads(content)
                elif topic == "registry":
                    self.names.apply(key.encode(), content)
                elif topic.endswith("-events"):
                    self.events.append((topic, orjson.loads(content)))

    def pack(self, turn):
        whose: Subjects = subjects_of(self.names, turn["identity"], turn["project"])
        views = Views(self.view(whose.identity), self.view(project_subject(whose.project)))
        rules = POLICY.document.context
        return build_context(turn["prompt"], whose, views, rules.budget, rules)

    def view(self, subject):
        return SubjectView(
            *([one for (of, _), one in self.compacted.items() if (of, one["subject"]) == (topic, subject)]
              for topic in READ)
        )  # fmt: skip

    def status(self, topic, project="p05-pump"):
        """(content or slot, status) of the project's."""
        view = [one for (of, _), one in self.compacted.items() if (of, one["subject"]) == (topic, f"project:{project}")]
        return sorted((one.get("content") or one["slot"], one["status"]) for one in view)


@pytest.fixture(scope="module")
def world():
    made = World()
    made.feed(0)
    return made


@pytest.mark.parametrize("turn", ["ida-turn-1", "jon-turn-1"])
def test_a_turn_carries_the_pack_that_the_read_models_gave_when_it_was_opened(world, turn):
    given, built = world.packs[turn]
    assert given["context_pack"] == built.formatted_context
    assert given["context_used"]["memories"] == list(built.memories_used)


def test_the_first_pack_shows_what_is_curated_and_what_is_disputed_and_the_page_shows_it(world):
    text = world.packs["ida-turn-1"][0]["context_pack"]
    assert (text.count(" (curated)"), text.count("(disputed, conflict c-")) == (1, 4)
    assert f"```\n{text}\n```" in PAGE.read_text(encoding="utf-8")


def test_the_second_person_gets_the_resolved_pad_and_nothing_of_the_first_one(world):
    text = world.packs["jon-turn-1"][0]["context_pack"]
    assert "[adaptation] pad: PEEK\n" in f"{text}\n"
    assert "steel" not in text
    assert "short answers" not in text
    assert text.count("(disputed, conflict c-") == 2, "the seal is not settled"


def test_the_alias_of_the_story_means_its_project(world):
    assert world.names.project("PUMP") == "p05-pump"
    assert subjects_of(world.names, None, "p05-pump").aliases == ("pump",)


def test_an_answer_that_agrees_with_a_memory_reinforces_it_and_nothing_else(world):
    counts = {one["content"]: one["reference_count"] for (of, _), one in world.compacted.items() if of == "memories"}
    assert {content for content, count in counts.items() if count} == {"prefers short answers"}


@pytest.mark.parametrize("number", [1, scenario.CASTS - 1])
def test_in_a_later_round_another_project_has_the_same_story(number):
    made, project = World(), f"p05-pump.c{number}"
    made.feed(number)
    given, built = made.packs[f"ida-turn-1.r{number}"]
    assert sorted(given["context_pack"].split("\n")) == sorted(built.formatted_context.split("\n")), "ids order equals"
    assert made.status("conflicts", project) == [("housing", "open"), ("pad", "resolved"), ("seal", "open")]
    assert made.names.project(f"pump.c{number}") == project


def test_a_project_that_comes_back_after_all_casts_has_its_new_conflict_resolved_too():
    made = World()
    for number in (0, scenario.CASTS):
        made.feed(number)
    assert [
        kind for topic, one in made.events if topic == "conflict-events" and (kind := one["kind"]) == "refused"
    ] == []
    assert dict(made.status("conflicts"))["pad"] == "resolved"
    pads = [status for content, status in made.status("memories") if content.startswith("pad")]
    assert sorted(pads) == ["active", *["superseded"] * 3]
