"""The story of docs/memory.md, run line by line: a project, two people, an alias, a conflict, what a model is given."""

import json
import re
import shlex
from pathlib import Path

import pytest

from command_line import command_line
from endocrine.pipeline.cli import conflicts, context, memory, names, trust

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = Path(__file__).parents[3] / "docs" / "memory.md"
STORY = re.search(r"## A story.*?```sh\n(.*?)```.*?```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
_KEPT = re.compile(r"(\w+)=\$\((endocrine .*?) --json \| jq -r \.(\w+)\)")


@pytest.fixture
def run(door):
    """Run a line of a shell, as far as the page uses one; what the command printed."""
    kept = {}
    command_of = command_line(door.settings, conflicts, context, memory, names, trust)

    async def line(text):
        found = _KEPT.fullmatch(text)
        command = text if found is None else f"{found[2]} --json"
        words = [re.sub(r"\$(\w+)", lambda name: kept[name[1]], word) for word in shlex.split(command)]
        result = await command_of(*words[1:])
        assert result.exit_code == 0, (text, result.output)
        if found is not None:
            kept[found[1]] = json.loads(result.stdout)[found[3]]
        return result.stdout

    return line


async def test_the_story_of_the_page_gives_what_the_page_shows(run, eventually):
    lines, shown = STORY[1].strip().split("\n"), STORY[2].strip()
    packs = []
    for line in lines:
        if line.startswith("endocrine context auto"):
            after = await eventually(lambda: run(line), lambda got: "steel" not in got)  # noqa: B023
            packs.append(after)
        elif line.startswith("endocrine context"):
            disputed = await eventually(lambda: run(line), lambda got: got.count("(disputed") == 2)  # noqa: B023
            packs.append(disputed)
        elif line.startswith("endocrine conflicts"):
            await eventually(lambda: run("endocrine conflicts list project:p05-pump --json"),
                             lambda got: json.loads(got)["items"])  # fmt: skip
            await run(line)
        else:
            await run(line)
    disputed, after = packs
    said = [re.sub(r"conflict c-[0-9a-f]{24}", "conflict c-...", one) for one in disputed.strip().splitlines()]
    assert sorted(said) == sorted(shown.splitlines()), "two of one confidence are in the order of their ids"
    assert said[:4] == shown.splitlines()[:4]
    assert after.count("[adaptation] pad: PEEK\n") == 1
    assert "disputed" not in after
    assert "prefers short answers" not in after


async def test_the_promoted_candidate_is_in_the_next_pack_and_the_rejected_one_is_not(door, who, eventually):
    said = "I prefer rebase-based workflows.\nI prefer trunk-based development."
    async with door.client() as client:
        opened = (await client.post("/v1/turns", json={"identity": who, "prompt": "How do you work?"})).json()
        at = f"/v1/interactions/{opened['audit_id']}"
        await client.post(f"/v1/turns/{opened['audit_id']}/close", json={"identity": who, "response": said})
        await eventually(lambda: client.post(f"{at}/extract", json={}), lambda got: got.status_code == 200)
        await client.post(f"{at}/extract", json={"persist": True})
        ask = {"subject": who, "status": "candidate"}
        queue = await eventually(
            lambda: client.get("/v1/memories", params=ask), lambda got: len(got.json()["items"]) == 2
        )
        by_content = {one["content"]: one["memory_id"] for one in queue.json()["items"]}

        async def pack():
            return (await client.post("/v1/context", json={"identity": who, "prompt": "?"})).json()["formatted_context"]

        assert await pack() == ""
        for content, memory_id in by_content.items():
            change = "promote" if "rebase" in content else "reject"
            await client.post(f"/v1/memories/{memory_id}/{change}?wait=30", json={"subject": who})
        text = await eventually(pack, lambda got: got)
        assert ("rebase" in text, "trunk" in text) == (True, False)
