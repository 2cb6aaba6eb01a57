"""`endocrine launch-gate`: may users be let in? One report over what was recorded."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from endocrine.pipeline.cli.common import (
    BROKEN,
    Bootstrap,
    Json,
    Since,
    fail,
    on_broker,
    print_json,
    settings_of,
    time_of,
)

if TYPE_CHECKING:
    from endocrine.pipeline.core.seals import KeyedSeals
    from endocrine.pipeline.data.launch_gate import Budget, Check, Evidence
    from endocrine.pipeline.process.settings import Settings

Critical = Annotated[
    list[str] | None, typer.Option("--critical-incident", metavar="KIND", help="An incident of this kind fails it.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("launch-gate")(launch_gate)


def launch_gate(
    since: Since = None,
    decision_p95_ms: Annotated[
        float, typer.Option(min=1, help="Milliseconds from a turn's opening to its parameters, 95th percentile.")
    ] = 1000,
    model_p95_ms: Annotated[
        float | None, typer.Option(min=1, help="Milliseconds until a model replied, 95th percentile.")
    ] = None,
    tokens_per_turn: Annotated[float | None, typer.Option(min=1, help="Tokens of a turn, on average.")] = None,
    turns: Annotated[int, typer.Option(min=0, help="Turns that must have been decided, at least.")] = 1,
    critical_incident: Critical = None,
    render: Annotated[int, typer.Option(min=0, max=1000, help="Audit bundles rendered, the newest ones.")] = 5,
    whole: Annotated[bool, typer.Option("--strict", help="A check that is not available fails it.")] = False,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Judge what was recorded: errors, tightening, audits, retention, erasure, budget. One sentence or more for each.

    Exit codes: 0 open, 1 closed, 2 it cannot be judged, as the broker is away or arguments are invalid.
    """
    from endocrine.pipeline.data.launch_gate import Budget
    from endocrine.pipeline.process.seal_keys import known_seals
    from endocrine.schemas.vocabulary import IncidentKind

    kinds = get_args(IncidentKind)
    for kind in critical_incident or ():
        if kind not in kinds:
            fail(f"--critical-incident: a text of {len(kind)} characters; expected one of {', '.join(kinds)}")
    after, settings = time_of("--since", since), settings_of(bootstrap)
    budget = Budget(decision_p95_ms, model_p95_ms, tokens_per_turn)
    work = judged(settings, known_seals(settings), after, budget, turns, critical_incident or (), render)
    checks = on_broker(settings, work)
    bad = {"failed", "not available"} if whole else {"failed"}
    closed = [check.name for check in checks if check.status in bad]
    missing = [check.name for check in checks if check.status == "not available"]
    if as_json:
        print_json({"open": not closed, "checks": [check._asdict() for check in checks]})
    else:
        note = f" Not judged: {', '.join(missing)}." if missing else ""
        print((f"The gate is closed: {', '.join(closed)}." if closed else "The gate is open.") + note)
        for check in checks:
            print(f"\n{check.name}: {check.status}")
            print("\n".join(f"  {sentence}" for sentence in check.sentences))
    raise typer.Exit(BROKEN if closed else 0)


async def judged(
    settings: "Settings",
    seals: "KeyedSeals | None",
    since: float | None,
    budget: "Budget",
    turns: int,
    critical: Sequence[str],
    render: int,
) -> list["Check"]:
    """Return all checks. since: seconds since 1970, append time. Raises KafkaError, TimeoutError, NoSuchTopic."""
    from endocrine.pipeline.data.dead_letters.broker import look
    from endocrine.pipeline.data.dead_letters.select import Filter
    from endocrine.pipeline.data.launch_gate import TOPICS, Check, Evidence
    from endocrine.pipeline.kafka.topic_reader import batches

    seen = Evidence(None if seals is None else lambda topic, raw: seals.valid(topic, raw, dict(raw.headers)))
    async for topic, _, records in batches(settings, TOPICS, since=since):
        for raw in records:
            seen.add(topic, raw)
    for letter in await look(settings, Filter(), since=since):
        if letter.status == "open":
            seen.letter(letter.kind)
    enough = seen.turns >= turns
    proof = Check(
        "evidence",
        "passed" if enough else "failed",
        (f"{seen.turns} turns were decided." if enough else f"{seen.turns} turns were decided; expected {turns}.",),
        {"turns": seen.turns},
    )
    return [
        proof,
        seen.errors(critical),
        seen.tightening(await _refused(settings, seals, seen.policies)),
        await _audits(settings, seen, render),
        await _retention(settings),
        seen.erasure(),
        seen.within(budget),
    ]


async def _refused(settings: "Settings", seals: "KeyedSeals | None", digests: set[str]) -> dict[str, str]:
    """Policies that turns were decided under and that this code refuses, with the reason."""
    from endocrine.agents.policy.canary import compile_published
    from endocrine.agents.policy.errors import PolicyError
    from endocrine.pipeline.data.policy_rollout import published_documents
    from endocrine.pipeline.process.policy_files import shipped_policy

    documents: Mapping[str, Any] = await published_documents(settings, seals)
    refused: dict[str, str] = {}
    for digest in sorted(digests):
        if digest not in documents:
            refused[digest] = "it is not on the topic policies"
            continue
        try:
            compile_published(documents[digest], {}, shipped_policy().resolved)
        except PolicyError as error:
            refused[digest] = str(error.errors[0])
    return refused


async def _audits(settings: "Settings", seen: "Evidence", render: int) -> "Check":
    from endocrine.pipeline.replay.audit_chain.broker import verify
    from endocrine.pipeline.views.explain.find import NotFound, by_audit_id
    from endocrine.pipeline.views.explain.text import as_text

    unrendered: list[str] = []
    wanted = list(dict.fromkeys(reversed(seen.audited)))[:render]
    for audit_id in wanted:
        try:
            if not as_text(await by_audit_id(settings, audit_id)).strip():
                unrendered.append(audit_id)
        except (NotFound, KeyError, TypeError, ValueError):
            unrendered.append(audit_id)
    report = await verify(settings, {})
    return seen.audits(time.time(), unrendered, len(wanted), [str(one) for one in report.findings])


async def _retention(settings: "Settings") -> "Check":
    """Every topic keeps what the catalogue says, for as long."""
    from endocrine.agents.registry import AGENTS
    from endocrine.pipeline.data.launch_gate import Check
    from endocrine.pipeline.kafka.admin import describe_topics

    states = await describe_topics(settings, [agent.name for agent in AGENTS])
    found = tuple(f"{state.topic.name}: {state.problem}" for state in states if state.problem)
    good = (f"Retention is as declared on {len(states)} topics.",)
    return Check("retention", "failed" if found else "passed", found or good, {"topics": len(states)})
