"""The contract with other programs: the fields of every topic, word for word as published (`?` optional)."""

from typing import Any, get_args

import pytest
from pydantic import BaseModel

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.schemas.base import Produced

PUBLISHED = """
interactions: kind audit_id identity session_id turn client project? model? prompt context_pack? context_used? \
respond? signals? \
messages? application_tools? asked? enforce? door? streamed? images? ts
interactions: kind audit_id identity response response_summary? memories_used? chunks_used? reinforce? usage? enforce? \
door? ts
signals: identity name level ttl_ms source audit_id? ts
observations: primitive value confidence window source evidence_ref? identity_ref ts id v
tool-calls: call_id audit_id identity tool arguments step ts
tool-results: call_id audit_id identity tool status duration_ms args_summary output? ts
feedback: identity target_action_id rating note? context_hash? tags? symbols? ts
detections: identity phase risk_level childhood_archetype? egg_status? confidence? signals? turn_count ulm ts
commands: kind identity by ts cap
commands: kind identity by ts text
commands: kind identity by ts category key value source? confidence?
commands: kind identity by ts category key reason?
commands: kind identity by ts entry events part parts replace?
commands: kind identity by ts
commands: kind identity by ts call_id reason?
commands: kind identity by ts call_id reason?
commands: kind identity by ts audit_id?
commands: kind identity by ts audit_id reason?
commands: kind identity by ts audit_id reason?
commands: kind identity by ts
commands: kind identity by ts type content slot? status? confidence?
commands: kind identity by ts memory_id type content slot? status confidence strength? version store origin created_ts
commands: kind identity by ts memory_id reason? content? confidence? version?
commands: kind identity by ts memory_id reason?
commands: kind identity by ts memory_id reason?
commands: kind identity by ts memory_id reason?
commands: kind identity by ts memory_id reason? superseded_by?
commands: kind identity by ts audit_id text project? turn_identity?
commands: kind identity by ts audit_id text
commands: kind identity by ts slot conflict_id action winner? reason?
commands: kind identity by ts b reason?
commands: kind identity by ts b reason?
commands: kind identity by ts b reason?
commands: kind identity scope name registered_id description? roots? effective_from by ts
commands: kind identity scope name effective_from by ts
commands: kind identity rekey_id agent key old state digest_old digest_new check by ts
commands: kind identity rekey_id agent key digest_old by ts
commands: kind identity erasure_id agent key of memory_ids? by ts
modulations: audit_id identity revision admitted refusal review mode parameters prompt_style signals lineage policy ts
tool-decisions: call_id audit_id identity function tool decision reason incident_id policy ts
incidents: incident_id kind audit_id identity attempted reason params_snapshot prompt_hmac policy ts
style-tables: identity temperature_delta top_p_delta memory_write_boost verbosity_bias cards intents locked ts
attribution-states: identity primitive state current_value confidence observation_count last_change_ts \
last_observation_ts
attribution-changes: kind identity primitive old_state new_state current_value confidence observation_count ts
attribution-changes: kind identity primitives confidence ts
bonds: user_id phase? prev_phase? archetype? phase_entered_at? turn_count? peak_nodes? risk_level? daily_msg_cap? \
daily_msg_count? daily_msg_reset_at? egg_status? notes? last_updated?
bond-events: identity timestamp event_type detail data
trusted-states: subject category key value source confidence status entry_id version created_ts by ts
state-events: kind subject category key old new reason entry_id version by ts
policies: digest policy previous by ts
policy-rollouts: number kind digest policy previous share candidate restores reason by ts
model-requests: request_id audit_id identity step model messages tools parameters dropped deadline_ms ts
model-chunks: request_id audit_id identity seq text ts
images: identity digest piece pieces data ts
model-replies: request_id audit_id identity step status content tool_calls finish_reason usage model latency_ms error ts
scheduled-tasks: call_id audit_id identity when note ts
tool-analytics: tool window_s count ok error blocked p50_ms p95_ms modes ts
journal: agent partition batch runs inputs previous policy version claim
audits: identity audit_id ts previous hash
registry: scope name registered_id kind description roots effective_from released_from by ts
registry-events: kind scope name wanted holder reason by ts
checkpoints: key_id number previous ts audits journal signature
dlq-actions: action topic partition offset origin by reason ts
"""
OWN = """
content-keys: key_id subject wrapped wrapped_by destroyed
effect-starts: effect_id connector identity by ts
context-packs: pack_id identity project formatted_context total_chars budget project_state_chars state \
memories_used chunks disputed as_of policy by ts
captured: subject identity interaction_id project session_id turn client response memories_used chunks_used \
memory_write? finish? reinforce extract created_at ts
memories: memory_id subject type content slot value status confidence strength reference_count last_referenced_at \
source supersedes superseded_by open_conflict version created_ts by ts
memory-events: kind subject memory_id type content slot value old_status new_status confidence_before \
confidence_after interaction_id? matched? total? opinion? strength? votes_for? votes_total? capped? reason by ts
opinions: subject memory_id opinion confidence by ts
candidates: subject memory_id type content slot confidence strength source capped? by ts
reinforcements: subject memory_id interaction_id matched total capped? by ts
memory-orders: kind subject memory_id type content slot confidence source by ts
memory-orders: kind subject memory_id supersedes conflict_id by ts
memory-orders: kind subject memory_id superseded_by conflict_id by ts
conflict-marks: subject memory_id conflict_id other_active by ts
conflicts: conflict_id subject slot status members preferred action winner reason capped? opened_ts by ts
conflict-events: kind subject slot conflict_id members action winner reason by ts
late-advice: audit_id identity within_ms mode policy ts
facts: exporter exporter_version exported_at subject slot value source_artifact ts
rekeys: subject rekey_id agent key outcome reason command_id by ts
erasures: kind identity erasure_id agent key of memory_ids? by ts
erasures: kind identity rekey_id agent key old state digest_old digest_new check by ts
erasures: kind identity rekey_id agent key digest_old by ts
erasure-events: subject erasure_id agent key outcome command_id by ts
ops-events: identity kind outcome report by ts
link-evidence: token kind identity value observation_id ts
link-hints: a b kind distance? value_digest seen_a seen_b observations holders common? capped? ts
identity-links: a b score evidence status weakened capped? by ts
link-events: kind a b old new score evidence_digest refusal reason by ts
"""
"""Topics that ours have beyond the published ones."""
ADDED = {
    "bond-events": ["imported"],
    "style-tables": ["unknown_actions"],
    "attribution-states": ["capped"],
    "registry-events": ["identity", "command_id"],
    "journal": ["refused", "forged", "keys", "unreadable"],
    "audits": [
        "supplement",
        "status",
        "incomplete",
        "headline",
        "explanation",
        "opened",
        "closed",
        "admitted",
        "refusal",
        "review",
        "mode",
        "prompt_style",
        "parameters",
        "lineage",
        "allowlist",
        "signals",
        "revisions",
        "tools",
        "blocked",
        "incidents",
        "moderation",
        "models",
        "dropped",
        "budget",
        "policies",
        "records",
        "omitted",
        "interventions",
        "door",
        "enforce",
        "stream",
        "asked",
        "latency_ms",
        "advice_late",
        "tokens",
        "cost",
        "degraded",
    ],
    "modulations": ["functions", "expires", "application_tools"],
    "tool-calls": ["runner"],
    "tool-results": ["runner", "streamed"],
    "tool-decisions": ["rule", "expires", "arguments_digest", "revision", "message", "runner"],
    "incidents": ["rule", "score"],
    "interactions": ["memory_write", "finish"],
    "model-requests": ["purpose", "concise", "reserved_tokens", "stream", "asked", "enforce"],
    "model-replies": ["reasoning_chars"],
}
"""Fields that ours have beyond the published ones: fields may be added, none renamed or dropped."""
NESTED = {
    "modulations.parameters": (
        "temperature top_p max_output_tokens reasoning_effort retrieval_k planner_beam memory_write safety_mode"
        " tool_allowlist"
    ),
    "modulations.signals": "name level source ts fate",
    "modulations.lineage": "step by from to",
    "modulations.functions": "name description parameters",
    "incidents.params_snapshot": "allowlist mode",
    "style-tables.intents": "affirm reject more_detail soften ground",
    "interactions.signals": "name level ttl_ms source",
    "interactions.messages": "role content tool_calls tool_call_id name",
    "interactions.application_tools": "name description parameters",
    "interactions.images": "message start digest size source media_type detail partition offsets",
    "interactions.asked": (
        "temperature top_p max_output_tokens stop seed response_format tool_choice parallel_tool_calls reasoning_effort"
    ),
    "interactions.usage": "input_tokens output_tokens",
    "model-replies.tool_calls": "call_id tool arguments",
    "tool-analytics.modes": "strict balanced creative",
    "observations.window": "start_ts end_ts",
    "memories.source": "kind interaction_id identities rule chunk exporter artifact",
    "identity-links.evidence": ("kind class weight distance value_digest observations common counted first_ts last_ts"),
    "conflicts.members": "layer id value status since",
}


def published() -> dict[str, list[list[str]]]:
    table: dict[str, list[list[str]]] = {}
    for line in (PUBLISHED.strip() + OWN.rstrip()).splitlines():
        topic, _, fields = line.partition(": ")
        table.setdefault(topic, []).append(fields.split())
    return table


def models(model: Any) -> list[Any]:
    """The models of a union, in order; of one model, itself."""
    inner = get_args(model)[0] if get_args(model) and not isinstance(model, type) else model
    return list(get_args(inner)) or [inner]


def fields_of(model: Any) -> list[str]:
    if not issubclass(model, BaseModel):
        return [f"{name}?" if name in model.__optional_keys__ else name for name in model.__annotations__]
    # Any record that others produce may carry an id; records.md says so above its table.
    own = [name for name in model.model_fields if not (name == "id" and issubclass(model, Produced))]
    return [name if model.model_fields[name].is_required() else f"{name}?" for name in own]


def test_the_catalogue_has_exactly_the_published_topics():
    assert set(CATALOGUE) == set(published())


@pytest.mark.parametrize("topic", CATALOGUE)
def test_the_fields_of_a_topic_are_those_published(topic):
    found = [fields_of(model) for model in models(CATALOGUE[topic].model)]
    extra = ADDED.get(topic, [])
    ours = [[name for name in fields if name.rstrip("?") not in extra] for fields in found]
    # commands share their first fields; the order of those that others write is free.
    assert sorted(sorted(fields) for fields in ours) == sorted(sorted(fields) for fields in published()[topic])


@pytest.mark.parametrize(
    "topic", ["modulations", "tool-decisions", "incidents", "style-tables", "bonds", "bond-events", "journal", "audits"]
)
def test_derived_records_keep_the_published_order(topic):
    [fields] = [fields_of(model) for model in models(CATALOGUE[topic].model)]
    assert [name for name in fields if name.rstrip("?") not in ADDED.get(topic, [])] == published()[topic][0]


@pytest.mark.parametrize("place", NESTED)
def test_the_fields_inside_a_field_are_those_published(place):
    topic, _, field = place.partition(".")
    schema = CATALOGUE[topic].adapter.json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    roots = [schema, *(definitions[branch["$ref"].rpartition("/")[2]] for branch in schema.get("oneOf", []))]
    [node] = [root["properties"][field] for root in roots if field in root.get("properties", {})]
    assert list(resolved(node, definitions)["properties"]) == NESTED[place].split()


def resolved(node, definitions):
    """The object that a field holds, through references, options, lists and maps."""
    if "properties" in node:
        return node
    if "$ref" in node:
        return resolved(definitions[node["$ref"].rpartition("/")[2]], definitions)
    for inner in (*node.get("anyOf", []), node.get("items"), node.get("additionalProperties")):
        if isinstance(inner, dict) and (found := resolved(inner, definitions)):
            return found
    return {}
