"""`endocrine context build|auto|last`: what a model is given beside a prompt, from trusted state and memories."""

import asyncio
import os
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from endocrine.agents.context.rules import LEAST_BUDGET, MOST_BUDGET, MOST_PASSAGES
from endocrine.pipeline.cli.common import (
    BROKEN,
    CANNOT,
    Bootstrap,
    Json,
    fail,
    on_broker,
    operator,
    print_json,
    registered_names,
    settings_of,
    shown_time,
    whose,
)
from endocrine.pipeline.cli.group import command_group

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy
    from endocrine.pipeline.core.name_table import NameTable
    from endocrine.pipeline.process.settings import Settings

Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="The prompt that it is for.")]
Whom = Annotated[
    str | None, typer.Option(help="Whom it is for; without one nothing personal is in it, and it is not recorded.")
]
Budget = Annotated[
    int | None, typer.Option(min=LEAST_BUDGET, max=MOST_BUDGET, help="Characters; the policy's where left out.")
]
Most = Annotated[
    int | None, typer.Option("--passages", min=0, max=MOST_PASSAGES, help="Passages looked for in --corpus.")
]
Folder = Annotated[
    Path | None, typer.Option("--corpus", help="Folder of .txt and .md files; ENDOCRINE_GATEWAY_CORPUS.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit 2 where the read models or the names are away.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("Context packs: what a model is given beside a prompt.")
    group.command("build")(build)
    group.command("auto")(auto)
    group.command("last")(last)
    app.add_typer(group, name="context")


def build(
    prompt: Prompt,
    project: Annotated[str | None, typer.Option(help="The project; an alias is taken too.")] = None,
    identity: Whom = None,
    budget: Budget = None,
    passages: Most = None,
    corpus: Folder = None,
    strict: Strict = False,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Print the context pack of a prompt.

    Exit codes: 0 printed; an empty one too, also where the read models are away; 2 that with --strict, or invalid
    arguments.
    """
    _show(_pack(prompt, project, identity, budget, passages, corpus, bootstrap, detecting=False), strict, as_json)


def auto(
    prompt: Prompt,
    identity: Whom = None,
    budget: Budget = None,
    passages: Most = None,
    corpus: Folder = None,
    strict: Strict = False,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Print the context pack of a prompt that names a registered project; without one there is none.

    Exit codes: as of `context build`.
    """
    _show(_pack(prompt, None, identity, budget, passages, corpus, bootstrap, detecting=True), strict, as_json)


def last(
    identity: Annotated[str, typer.Argument(metavar="IDENTITY", help="Whose.")],
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Print the last context pack of an identity, as far back as its topic reaches (30 days).

    Exit codes: 0 printed, 1 there is none, 2 the broker cannot be read.
    """
    settings = settings_of(bootstrap)
    found = on_broker(settings, _last(settings, whose(settings, identity) or identity))
    if found is None:
        fail(f"no context pack of {identity!r}", BROKEN)
    if as_json:
        print_json(found)
        return
    when = shown_time(found["ts"])
    project = f", project {found['project']}" if found["project"] else ""
    print(f"{found['pack_id']} of {when}{project}, by {found['by']}", file=sys.stderr)
    print(found["formatted_context"])


def _pack(
    prompt: str,
    project: str | None,
    identity: str | None,
    budget: int | None,
    passages: int | None,
    corpus: Path | None,
    bootstrap: str | None,
    *,
    detecting: bool,
) -> dict[str, Any]:
    from endocrine.pipeline.data.context import UNAVAILABLE, Passages, empty_answer
    from endocrine.pipeline.gateway.settings import GatewaySettings

    settings = settings_of(bootstrap)
    policy = _policy(settings)
    prompt = prompt.encode("utf-8", "replace").decode()
    if not prompt.strip():
        fail("PROMPT is empty; expected text")
    asked = {"budget": budget, "most_passages": passages}
    found = Passages(corpus or GatewaySettings().corpus)
    built = asyncio.run(_built(settings, policy, prompt, project, identity, found, asked, detecting=detecting))
    room = policy.document.context.budget if budget is None else budget
    return empty_answer(UNAVAILABLE, room) if built is None else built


async def _built(
    settings: "Settings",
    policy: "Policy",
    prompt: str,
    project: str | None,
    identity: str | None,
    passages: Any,
    asked: dict[str, Any],
    *,
    detecting: bool,
) -> dict[str, Any] | None:
    """The answer; None where names or read models are away."""
    from aiokafka.errors import KafkaError
    from redis.exceptions import RedisError

    from endocrine.agents.names.detect import detect
    from endocrine.pipeline.data import context
    from endocrine.pipeline.process.logs import set_up_logs
    from endocrine.pipeline.views.redis.store import connect

    set_up_logs("ERROR")
    try:
        names = await registered_names(settings)
    except (KafkaError, OSError, TimeoutError):
        return None
    whom, about = _resolved(names, identity, project)
    if detecting:
        about = detect(names.entries, "project", prompt)
        if about is None:
            room = asked["budget"] or policy.document.context.budget
            return context.empty_answer({"status": "no_project_match"}, room)
    subjects = context.subjects_of(names, whom, about)
    try:
        async with connect(settings) as redis:
            built = await context.build(redis, settings, policy, prompt, subjects, passages, **asked)
    except (RedisError, OSError, TimeoutError, ValueError):
        return None
    answer = context.answer_of(built) | {"recorded": False}
    if whom is not None:
        record = context.record_of(
            built, subjects, policy, id=f"operator-{uuid.uuid4().hex}", by=operator(None), ts=time.time()
        )
        answer["recorded"] = await _recorded(settings, record)
    return answer


def _resolved(names: "NameTable", identity: str | None, project: str | None) -> tuple[str | None, str | None]:
    from endocrine.pipeline.core.name_table import NameFault

    try:
        return None if identity is None else names.identity(identity), names.project(project)
    except NameFault as fault:
        fail(f"--identity or --project: {fault}")


async def _recorded(settings: "Settings", record: dict[str, Any]) -> bool:
    from endocrine.pipeline.data.context import TOPIC
    from endocrine.pipeline.data.ingest.produce import ProduceError, produce

    try:
        await produce([{"topic": TOPIC, "value": record, "headers": {"ce_source": "endocrine/context"}}], settings)
    except ProduceError:
        return False
    return True


def _show(answer: dict[str, Any], strict: bool, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        if answer["status"] != "built":
            print(f"{answer['status']}: the pack is empty", file=sys.stderr)
        print(answer["formatted_context"])
    if strict and answer["status"] == "unavailable":
        raise typer.Exit(CANNOT)


def _policy(settings: "Settings") -> "Policy":
    from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy

    try:
        return load_policy(settings.policy, os.environ)
    except PolicyFileError as error:
        fail(str(error))


async def _last(settings: "Settings", identity: str) -> dict[str, Any] | None:
    from contextlib import aclosing

    from endocrine.pipeline.core.partitioning import partition_of
    from endocrine.pipeline.data.context import TOPIC
    from endocrine.pipeline.kafka.topic_reader import batches

    found: dict[str, Any] | None = None
    place = partition_of(identity, settings.partitions)
    async with aclosing(batches(settings, [TOPIC], partition=place)) as pieces:
        async for _, _, records in pieces:
            for raw in records:
                if raw.key == identity.encode() and raw.value is not None:
                    found = orjson.loads(raw.value)
    return found
