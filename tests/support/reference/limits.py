"""Generated table of docs/limits.md: bounds from the settings' defaults and the policy as shipped. Pure."""

from collections.abc import Iterator

from endocrine.pipeline.core.producer_dedup import RECENT
from endocrine.pipeline.gateway.settings import GatewaySettings
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.settings import Settings
from endocrine.schemas.images import MAX_IMAGES
from reference.markdown import table


def limit_parts() -> dict[str, list[str]]:
    """Name of a generated part to its lines."""
    return {"limits": table(("of", "at most", "set by", "beyond it"), _limits())}


def _limits() -> Iterator[tuple[str, str, str, str]]:
    document, defaults = shipped_policy().document, _defaults()
    turns, gate, homeostat = document.conversation.limits, document.gating, document.homeostat
    yield "a record", f"{defaults['max_record_bytes']:,} bytes", "`ENDOCRINE_MAX_RECORD_BYTES`", "dead letter"
    yield (
        "headers of a record",
        f"{defaults['max_header_bytes']:,} bytes",
        "`ENDOCRINE_MAX_HEADER_BYTES`",
        "dead letter",
    )
    yield (
        "a compressed batch, unpacked",
        f"{defaults['max_batch_bytes']:,} bytes",
        "`ENDOCRINE_MAX_BATCH_BYTES`",
        ("one dead letter for the batch"),
    )
    yield "an identity, an id", "256 characters", "the schema", "dead letter"
    yield "`ts` ahead of the broker's clock", f"{document.time.ahead_s:g} s", "`time.ahead_s`", "dead letter"
    yield "age of a tool call", f"{gate.stale_s:g} s", "`gating.stale_s`", "denied, `stale_call`"
    yield "model steps of a turn", f"{gate.step_limit}", "`gating.step_limit`", "denied, `step_limit`"
    yield (
        "calls of one tool by one identity",
        f"{gate.rate_limits.calls} in {gate.rate_limits.window_s:g} s",
        ("`gating.rate_limits`"),
        "denied, `rate_limited`",
    )
    yield (
        "arguments of a call",
        f"{gate.arguments_chars:,} characters, {gate.arguments_depth} levels",
        ("`gating.arguments_chars`, `arguments_depth`"),
        "denied, `invalid_arguments`",
    )
    yield "waiting for a person", f"{gate.approval_ttl_s:g} s", "`gating.approval_ttl_s`", "denied, `approval_expired`"
    yield "open turns of an identity", f"{gate.open_turns}", "`gating.open_turns`", "the oldest counts as closed"
    yield (
        "signals of one source for one identity",
        (f"{homeostat.budget.signals} in {homeostat.budget.window_ms / 1000:g} s"),
        "`homeostat.budget`",
        "not used, `budget`",
    )
    yield (
        "a prompt that we answer",
        f"{turns.prompt_chars:,} characters",
        "`conversation.limits`",
        "refused, `too_long`",
    )
    yield (
        "turns of an identity that we answer at once",
        f"{turns.open_turns}",
        "`conversation.limits`",
        ("refused, `too_many_turns`"),
    )
    gateway = GatewaySettings.model_fields
    for of, name, beyond in (
        ("an image of an OpenAI request", "image_bytes", "413"),
        ("all images of one", "images_bytes", "413"),
        ("such requests of more than 1 MiB at once", "large_bodies", "503"),
    ):
        unit = " bytes" if name.endswith("bytes") else ""
        yield of, f"{gateway[name].default:,}{unit}", f"`ENDOCRINE_GATEWAY_{name.upper()}`", beyond
    yield "images of a request", f"{MAX_IMAGES}, kept for a day", "the schema", "400"
    yield "an answer of ours", f"{turns.answer_chars:,} characters", "`conversation.limits`", "cut, and marked"
    yield (
        "tokens of an identity that we answer",
        (f"{document.budget.limit:,} in {document.budget.window_s / 3600:g} h"),
        "`budget`",
        "refused, `budget_exceeded`",
    )
    yield "a producer's retry", f"{RECENT} records of its identity later", "fixed", "taken for a record of its own"
    yield "partitions", f"{defaults['partitions']}, fixed for a topic's life", "`ENDOCRINE_PARTITIONS`", "start refused"


def _defaults() -> dict[str, int]:
    """Defaults of the settings, whatever the environment says."""
    return {name: field.default for name, field in Settings.model_fields.items()}
