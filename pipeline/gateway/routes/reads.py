"""Reading: turns, interactions, audits, incidents, tools, identities, analytics, bonds, dead letters.

Read models are Redis's: while it is away these answer 503, and nothing else changes.
"""

import base64
import csv
import io
import re
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response

from endocrine.agents.policy.functions import functions_of
from endocrine.pipeline.core.dead_letter_topics import source_of
from endocrine.pipeline.core.time_format import parse_time
from endocrine.pipeline.data.dead_letters.broker import look
from endocrine.pipeline.data.dead_letters.letters import TOPICS as LETTERS
from endocrine.pipeline.data.dead_letters.select import Filter, topic_name
from endocrine.pipeline.gateway.bundles import json_object, turn_explained
from endocrine.pipeline.gateway.callers import IDENTITY_SCHEMA, Caller, checked_identity
from endocrine.pipeline.gateway.content import shown_to
from endocrine.pipeline.gateway.places import RecordPosition, records_at
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.gateway.row import Query, Row, checked_query, json_response, number_of, one_of, whole_number
from endocrine.pipeline.gateway.state import Gateway
from endocrine.pipeline.views.explain.html import as_html
from endocrine.pipeline.views.redis import views
from endocrine.pipeline.views.redis.keys import ViewKeys
from endocrine.pipeline.views.turns import is_erased_part

if TYPE_CHECKING:
    from redis.asyncio import Redis

Json = dict[str, Any]
DEFAULT, MOST = 50, 500
YEAR_10000 = 253_402_300_800
LETTERS_S = 86_400.0
"""Dead letters are read from the broker: as shipped, those of a day."""
_CURSOR = r"^[0-9]{1,18}\.([A-Za-z0-9_-]{4})*([A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?$"
_EXPONENT = re.compile(r"[0-9]+(\.[0-9]+)?[eE][+-]?[0-9]+")
PAGE = (
    Query("limit", f"How many; {DEFAULT} where left out.", whole_number(1, MOST)),
    Query("cursor", "`next` of the page before.", {"type": "string", "pattern": _CURSOR}),
)


def redis_of(gateway: Gateway) -> "Redis":
    """Return the Redis of the read models. Raises Problem, 503, where there is none."""
    if gateway.redis is None:
        raise Problem("views_away", "no Redis is configured (ENDOCRINE_REDIS_URL)")
    return gateway.redis


def keys_of(gateway: Gateway) -> ViewKeys:
    """Return names of this deployment's views."""
    return ViewKeys(gateway.settings.prefix)


def time_of(query: dict[str, str], name: str) -> float | None:
    """Return a time of the query, seconds since 1970. Raises Problem, 422."""
    text = query.get(name)
    if text is None:
        return None
    try:
        # A number with an exponent is one of JSON; people do not write times so.
        return 0.0 if _before_1970(text) else parse_time(f"{float(text):f}" if _EXPONENT.fullmatch(text) else text)
    except ValueError:
        raise Problem(
            "invalid", f"query {name}: no time; expected ISO 8601 or seconds since 1970", field=name
        ) from None


def _before_1970(text: str) -> bool:
    """Whether it is a date before all there is."""
    try:
        return datetime.fromisoformat(text).year < 1970
    except ValueError:
        return False


def cursor_of(query: dict[str, str]) -> tuple[int, bytes] | None:
    """Return the place that a cursor names. Raises Problem, 422."""
    text = query.get("cursor")
    if text is None:
        return None
    if not re.fullmatch(_CURSOR, text):
        raise Problem("invalid", "query cursor: not one of a page before", field="cursor")
    score, _, member = text.partition(".")
    return int(score), base64.urlsafe_b64decode(member)


def shown_cursor(place: tuple[int, bytes] | None) -> str | None:
    """Return a place as a cursor."""
    return None if place is None else f"{place[0]}.{base64.urlsafe_b64encode(place[1]).decode()}"


def identity_of(gateway: Gateway, caller: Caller, query: dict[str, str]) -> str | None:
    """Return the canonical identity of the query; None where it names none. Raises Problem, 422 or 403."""
    identity = None if "identity" not in query else checked_identity(gateway.names, query["identity"])
    in_reach(caller, identity)
    return identity


def in_reach(caller: Caller, identity: str | None) -> None:
    """Refuse a key of one identity that asks for another's. Raises Problem, 403."""
    if caller.identity_from == "fixed" and not caller.owns(identity):
        raise Problem("identity_not_allowed", f"the key {caller.name!r} reads its own identity only")


async def turn(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/turns/{audit_id}."""
    checked_query(request)
    found = await turn_named(gateway, request, caller)
    (shown,) = await with_bodies(gateway, caller, [found])
    return json_response(shown)


async def turn_named(gateway: Gateway, request: Request, caller: Caller) -> Json:
    """Return the parts of the turn that the path names. Raises Problem: 403, 404."""
    found = await views.turn(redis_of(gateway), keys_of(gateway), request.path_params["audit_id"])
    if found is None:
        raise Problem("not_found", "no such turn in the read models; they may be a moment behind")
    first = next(iter(found.values()))
    in_reach(caller, first["identity"])
    not_erased(gateway, first)
    return found


def not_erased(gateway: Gateway, part: Mapping[str, Any]) -> None:
    """Refuse what an identity did before it was erased: read models that missed it, and topics within their retention,
    may hold it still. part: a record, or a part of a turn in the read models. Raises Problem, 410."""
    if is_erased(gateway, part):
        raise Problem("gone", "whom it is about was erased", more={"reason": "erased"})


def is_erased(gateway: Gateway, part: Mapping[str, Any]) -> bool:
    """Return whether a record, or a part of a turn, is of an identity that was erased since."""
    return is_erased_part(gateway.names, part)


async def with_bodies(gateway: Gateway, caller: Caller, found: list[Json]) -> list[Json]:
    """Return the turns as they are shown; with prompts and answers, read from Kafka, for callers with the scope
    `content`.
    """
    places: dict[RecordPosition, Json] = {}
    for one in found:
        for kind in ("opened", "closed"):
            if kind in one:
                places["interactions", *cast(tuple[int, int], one[kind]["at"])] = one[kind]
    if "content" in caller.scopes:
        for place, raw in (await records_at(gateway.settings, places)).items():
            if (value := json_object(raw.value)) is not None and value.get("identity") == places[place]["identity"]:
                places[place] |= {name: value[name] for name in ("prompt", "context_pack", "response") if name in value}
    return [_shown_turn(one) for one in found]


def _shown_turn(parts: Json) -> Json:
    opened, modulation = parts.get("opened"), parts.get("modulation")
    whose = opened or modulation or next(iter(parts.values()))
    audits = [part for name, part in parts.items() if name.startswith("audit/")]
    return {
        "audit_id": whose.get("audit_id"),
        "identity": whose["identity"],
        "opened": opened,
        "modulation": modulation,
        "closed": parts.get("closed"),
        "audit": {"headline": audits[-1]["headline"], "status": audits[0]["status"]} if audits else None,
    }


async def audit(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/audits/{audit_id}."""
    form = one_of(checked_query(request, "format"), "format", ("json", "html"))
    parts = await views.turn(redis_of(gateway), keys_of(gateway), request.path_params["audit_id"]) or {}
    found = await turn_explained(gateway, caller, parts)
    if found is None:
        raise Problem("not_found", "no such bundle; a turn gets one when it is closed and nothing of it is open")
    explained = found.explained
    in_reach(caller, explained.bundle["identity"])
    not_erased(gateway, explained.bundle)
    if form == "html":
        policy = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return Response(as_html(explained), 200, policy, "text/html; charset=utf-8")
    return json_response(explained.as_json())


_COLUMNS = ("ts", "kind", "identity", "audit_id", "attempted", "reason", "rule", "incident_id", "policy")


async def incidents(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/incidents."""
    query = checked_query(request, "kind", "tool", "mode", "identity", "since", "until", "limit", "cursor", "format")
    limit = number_of(query, "limit", DEFAULT, 1, MOST)
    form = one_of(query, "format", ("json", "csv"))
    found, cursor = await found_incidents(gateway, caller, query, limit)
    if form == "csv":
        return Response(incidents_csv(found), 200, None, "text/csv; charset=utf-8")
    return json_response({"items": found, "next": shown_cursor(cursor)})


async def found_incidents(
    gateway: Gateway, caller: Caller, query: dict[str, str], limit: int
) -> tuple[list[Json], tuple[int, bytes] | None]:
    """Return the newest incidents that the query leaves, and the place of the last one. Raises Problem: 403, 422,
    503.
    """
    since, until, before = time_of(query, "since"), time_of(query, "until"), cursor_of(query)
    identity = identity_of(gateway, caller, query)
    if before is None and until is not None:
        before = int(until * 1000), b""
    redis, found = redis_of(gateway), list[Json]()
    while True:
        page = await views.page(redis, keys_of(gateway).incidents(), MOST, before)
        for member in page.members:
            one = orjson.loads(member)
            if (since is not None and one["ts"] < since) or is_erased(gateway, one):
                continue
            if identity in (None, one["identity"]) and incident_matches(one, query):
                found.append(one)
                if len(found) == limit:
                    score = await redis.zscore(keys_of(gateway).incidents(), member)
                    return found, None if score is None else (int(score), member)
        if page.next is None:
            return found, None
        before = page.next


def incident_matches(one: Json, query: dict[str, str]) -> bool:
    """Return whether an incident is of the kind, tool and mode that a query names."""
    return (
        query.get("kind") in (None, one["kind"])
        and query.get("tool") in (None, one["attempted"])
        and query.get("mode") in (None, one["params_snapshot"]["mode"])
    )


def incidents_csv(rows: list[Json]) -> bytes:
    """Return the rows as CSV; what a spreadsheet would take for a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for row in rows:
        cells = ["" if row.get(name) is None else str(row[name]) for name in _COLUMNS]
        writer.writerow([f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell for cell in cells])
    return text.getvalue().encode()


async def incident_stats(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/incidents/stats."""
    query = checked_query(request, "kind", "tool", "mode", "identity", "since", "until")
    found, _ = await found_incidents(gateway, caller, query, 1 << 30)
    counts = {
        "kind": Counter(one["kind"] for one in found),
        "tool": Counter(one["attempted"] for one in found if one["attempted"]),
        "reason": Counter(one["reason"] for one in found),
        "mode": Counter(one["params_snapshot"]["mode"] for one in found),
    }
    return json_response(
        {"total": len(found), **{name: dict(count.most_common(100)) for name, count in counts.items()}}
    )


async def tools(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/tools."""
    checked_query(request)
    registry, flags = gateway.policy.document.tools, gateway.policy.document.flags
    functions = {one["name"]: one for one in functions_of(registry.root, gateway.policy)}
    items = [
        {
            "tool": name,
            "function": functions.get(spec.function),
            "enabled": spec.function in functions,
            "flag": spec.flag,
            "off": [flag for tool, flag in gateway.policy.switched_off if tool == name],
        }
        for name, spec in registry.root.items()
    ]
    return json_response({"items": items, "policy": gateway.policy.digest, "flags": flags.model_dump()})


async def identity(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/identities/{identity}."""
    checked_query(request)
    name = checked_identity(gateway.names, request.path_params["identity"])
    in_reach(caller, name)
    redis = redis_of(gateway)
    bond = await views.bond(redis, name)
    page = await views.page(redis, keys_of(gateway).turns(name), DEFAULT)
    return json_response(
        {
            "identity": name,
            "style": await views.style(redis, name),
            "attribution": await views.attribution(redis, name),
            "bond": None if bond is None else shown_to(caller, "bonds", bond.model_dump()),
            "turns": [
                _shown_turn(one)
                for one in await views.turns(redis, keys_of(gateway), page.members)
                if not is_erased(gateway, next(iter(one.values())))
            ],
        }
    )


async def analytics(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/analytics."""
    checked_query(request)
    return json_response({"items": await views.analytics(redis_of(gateway), keys_of(gateway))})


async def bond(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/bonds/{identity}."""
    checked_query(request)
    name = checked_identity(gateway.names, request.path_params["identity"])
    in_reach(caller, name)
    found = await views.bond(redis_of(gateway), name)
    if found is None:
        raise Problem("not_found", "no bond of this identity")
    return json_response(shown_to(caller, "bonds", found.model_dump()))


async def bond_events(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/bonds/{identity}/events."""
    query = checked_query(request, "limit")
    name = checked_identity(gateway.names, request.path_params["identity"])
    in_reach(caller, name)
    found = await views.bond_events(redis_of(gateway), name, number_of(query, "limit", DEFAULT, 1, MOST))
    return json_response({"items": [shown_to(caller, "bond-events", one) for one in found]})


async def dead_letters(gateway: Gateway, request: Request, caller: Caller) -> Response:
    """Serve GET /v1/dead-letters."""
    query = checked_query(request, "topic", "kind", "identity", "since", "until", "limit")
    identity = query.get("identity")  # as it was sent: that it is not canonical may be why it was refused
    if identity is not None and not 1 <= len(identity) <= 256:
        raise Problem("invalid", "query identity: expected 1 to 256 characters", field="identity")
    in_reach(caller, identity)
    limit = number_of(query, "limit", DEFAULT, 1, MOST)
    try:
        topic = None if "topic" not in query else topic_name(query["topic"], gateway.settings.prefix)
    except ValueError:
        raise Problem("invalid", "query topic: no topic with dead letters", field="topic") from None
    since = time_of(query, "since")
    meant = Filter(topic, query.get("kind"), identity)
    since = time.time() - LETTERS_S if since is None else since
    found = await look(gateway.settings, meant, since=since, until=time_of(query, "until"))
    items = [
        {
            "place": letter.place,
            "topic": source_of(letter.topic),
            "kind": letter.kind,
            "identity": letter.identity,
            "id": letter.id,
            "appended": letter.timestamp / 1000,
            "bytes": letter.length,
            "status": letter.status,
        }
        for letter in found[:limit]
    ]
    return json_response({"items": items, "total": len(found)})


TIME = {
    "anyOf": [
        # Eight digits may be a date without dashes: `parse_time` refuses them.
        {
            "type": "number",
            "minimum": 0,
            "exclusiveMaximum": YEAR_10000,
            "not": {"type": "integer", "minimum": 10_000_000, "maximum": 99_999_999},
        },
        {"type": "string", "format": "date-time"},
    ]
}
OF_IDENTITY = Query("identity", "Of this identity.", IDENTITY_SCHEMA)
_FILTERS = (
    Query("kind", "Of this kind."),
    Query("tool", "For this function that a model asked for."),
    Query("mode", "In this safety mode."),
    OF_IDENTITY,
    Query("since", "From this event time on: ISO 8601 (no zone: UTC) or seconds since 1970.", TIME),
    Query("until", "Appended before this time.", TIME),
)


_OF_TURN = ("not_found", "gone")


def _row(path: str, handler: Any, summary: str, *query: Query, missing: tuple[str, ...] = ()) -> Row:
    problems = ("views_away", *missing, "identity_not_allowed")
    return Row("GET", path, "read", handler, summary, problems=problems, query=query)


ROUTES = [
    _row("/v1/turns/{audit_id}", turn, "A turn; its prompt and answer need the scope `content`.", missing=_OF_TURN),
    _row(
        "/v1/audits/{audit_id}",
        audit,
        "The audit bundle of a turn, with its supplements.",
        Query("format", "As what.", {"type": "string", "enum": ["json", "html"]}),
        missing=_OF_TURN,
    ),
    _row(
        "/v1/incidents",
        incidents,
        "Incidents, newest first.",
        *_FILTERS,
        *PAGE,
        Query("format", "As what.", {"type": "string", "enum": ["json", "csv"]}),
    ),
    _row("/v1/incidents/stats", incident_stats, "Incidents counted by kind, tool, reason and mode.", *_FILTERS),
    _row("/v1/tools", tools, "Tools of the registry, and whether flags let them be used."),
    _row("/v1/identities/{identity}", identity, "All that is held of an identity."),
    _row("/v1/analytics", analytics, "Figures per tool, over all partitions."),
    _row("/v1/bonds/{identity}/events", bond_events, "What happened to it, newest first.", PAGE[0]),
    _row("/v1/bonds/{identity}", bond, "The bond of an identity.", missing=("not_found",)),
    _row(
        "/v1/dead-letters",
        dead_letters,
        "Records that could not be processed, newest first, without their bodies.",
        Query("topic", "Of this topic.", {"type": "string", "enum": [source_of(one) for one in LETTERS]}),
        *(one for one in _FILTERS if one.name in ("kind", "until")),
        Query("identity", "Of this identity, as it was sent.", {"type": "string", "minLength": 1, "maxLength": 256}),
        Query("since", "Appended from this time on; the last day where left out.", TIME),
        PAGE[0],
    ),
]
