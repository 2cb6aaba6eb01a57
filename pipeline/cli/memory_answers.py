"""`endocrine memory extract|reinforce AUDIT_ID`: what the answer of an ended turn says about memories."""

import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from endocrine.pipeline.cli.common import (
    BROKEN,
    Bootstrap,
    By,
    Json,
    fail,
    from_views,
    on_broker,
    operator,
    print_json,
    settings_of,
)
from endocrine.pipeline.cli.tables import print_table

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy
    from endocrine.pipeline.data.memory_answers import Answer
    from endocrine.pipeline.process.settings import Settings

AuditId = Annotated[str, typer.Argument(metavar="AUDIT_ID", help="The turn.")]


def extract(
    audit_id: AuditId,
    persist: Annotated[bool, typer.Option("--persist", help="Make candidates of them. Without it: a preview.")] = False,
    by: By = None,
    as_json: Json = False,
    bootstrap: Bootstrap = None,
) -> None:
    """Extract candidates from the answer of a turn. Without --persist nothing is written.

    The preview shows what the rules find; what is known, queued or was rejected is dropped when it is persisted. Exit
    codes: 0 shown or sent, 1 the turn or its answer is not there, 2 the broker or the read models are away.
    """
    from endocrine.pipeline.data.memory_answers import extracted, extractions

    settings = settings_of(bootstrap)
    answer = _answer(settings, audit_id)
    found = extracted(answer, _policy(settings))
    if persist and found:
        _send(settings, extractions(answer, found), by)
    if as_json:
        print_json({"persisted": persist and bool(found), "items": found})
        return
    columns = ("subject", "type", "slot", "content")
    print_table(columns, [tuple(one[name] or "" for name in columns) for one in found])
    if not persist:
        print("a preview: nothing was written (--persist makes candidates)")


def reinforce(audit_id: AuditId, by: By = None, as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Reinforce the memories that the answer of a turn agrees with. A turn that did so before adds nothing.

    Exit codes: 0 sent, 1 the turn or its answer is not there, 2 the broker or the read models are away.
    """
    from endocrine.pipeline.data.memory_answers import reinforcements

    settings = settings_of(bootstrap)
    answer = _answer(settings, audit_id)
    _send(settings, reinforcements(answer), by)
    if as_json:
        print_json({"sent": answer.subjects})
    else:
        print(f"sent for {', '.join(answer.subjects)}")


def _answer(settings: "Settings", audit_id: str) -> "Answer":
    """The answer, from the place on its topic that the read model names."""
    from endocrine.pipeline.data.memory_answers import Answer
    from endocrine.pipeline.gateway.places import records_at
    from endocrine.pipeline.views.redis import views
    from endocrine.pipeline.views.redis.keys import ViewKeys

    turn = from_views(lambda client: views.turn(client, ViewKeys(settings.prefix), audit_id), settings)
    if turn is None or "closed" not in turn:
        what = "no turn" if turn is None else "no end of turn"
        fail(f"{what} {audit_id!r} in the read models; a view may be a moment behind", BROKEN)
    partition, offset = turn["closed"]["at"]
    place = ("interactions", partition, offset)
    raw = on_broker(settings, records_at(settings, [place])).get(place)
    if raw is None or raw.value is None:
        fail(f"the answer of {audit_id!r} is not on its topic any more (retention)", BROKEN)
    text = orjson.loads(raw.value)["response"]
    if not text:
        fail(f"the answer of {audit_id!r} is empty", BROKEN)
    return Answer(audit_id, turn["closed"]["identity"], turn.get("opened", {}).get("project"), text)


def _policy(settings: "Settings") -> "Policy":
    import os

    from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy

    try:
        return load_policy(settings.policy, os.environ)
    except PolicyFileError as error:
        fail(str(error))


def _send(settings: "Settings", values: list[dict[str, Any]], by: str | None) -> None:
    from endocrine.pipeline.data.commands import SOURCE
    from endocrine.pipeline.data.ingest.produce import ProduceError, produce

    lines = []
    for value in values:
        given = {name: content for name, content in value.items() if content is not None}
        named = {"id": f"operator-{uuid.uuid4().hex}", "by": operator(by), "ts": time.time()}
        lines.append({"topic": "commands", "value": {**given, **named}, "headers": {"ce_source": SOURCE}})
    try:
        on_broker(settings, produce(lines, settings))
    except ProduceError as error:
        fail(str(error))
