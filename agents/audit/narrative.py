"""A bundle in one paragraph of plain English: the same bundle, the same text."""

from collections.abc import Sequence

from endocrine.agents._shared.moments import moment
from endocrine.agents.audit.memory import Json

FATES = {
    "expired": "had expired",
    "cooldown": "came too soon after one of its kind",
    "budget": "came over the budget of its source",
    "other_turn": "belonged to another turn",
    "capped": "was held to the cap of its source",
    "clamped": "was outside 0 to 1 and was clamped",
    "cleared": "was cleared by an operator",
}
COUNTED = ("used", "capped", "clamped")
"""Fates of signals that counted."""
REASONS = {
    "conflicting_call": "another call was taken under its id first",
    "stale_call": "it came too long after it was asked for",
    "unknown_turn": "its turn was never opened",
    "turn_closed": "the turn was closed",
    "unknown_tool": "there is no such tool",
    "disabled_by_flag": "the tool is switched off",
    "not_in_allowlist": "the tool was not on the allowlist",
    "invalid_arguments": "its arguments were invalid",
    "step_limit": "the turn had used up its steps",
    "rate_limited": "the daily number of messages was used up",
    "circuit_open": "the tool's circuit breaker was open",
    "budget_exceeded": "the budget was used up",
    "approval_denied": "a person denied it",
    "approval_expired": "nobody approved it in time",
    "awaiting_approval": "it waited for a person",
    "held": "it waits for a person",
    "denied": "a person denied it",
    "hold_expired": "nobody reviewed it in time",
}
CAUSES = {
    "tighten": "a blocked tool call",
    "lock": "the drift lock",
    "strict": "strict mode",
    "approve": "a person's approval",
    "hold": "an earlier revision",
}
"""Steps of a lineage named by what they are; the others by what did them."""
CORRECTION = "Correction:"
"""How a supplement begins that gives another mode than the bundle."""
SHOWN = 4
"""The number of a kind that the paragraph names one by one."""
INTERVENTIONS = {"clear_risk": "cleared its alignment_risk", "approve_turn": "approved it", "deny_turn": "denied it"}


def headline(bundle: Json, bundle_mode: str | None) -> str:
    """Return the modes of the turn up to its final one, in short: `balanced, strict from revision 1`.

    bundle: a bundle or a supplement. bundle_mode: for a supplement, the mode that its bundle gave; None: not known.
    """
    if bundle["refusal"] is not None and not bundle["admitted"] and bundle["refusal"] != "held":
        return f"not admitted, {bundle['refusal']}"
    modes = mode_history(bundle["revisions"], bundle["mode"], bundle_mode)
    if bundle["supplement"]:
        return modes or "its mode did not change"
    return modes or "no parameters were seen"


def mode_history(revisions: Sequence[Json], last: str | None, before: str | None = None) -> str:
    """Return each mode with the revision that brought it. last: that of the last revision; before: one before these."""
    phrases, mode = ([] if before is None else [before]), before
    for revision in sorted(revisions, key=lambda one: int(one["revision"])):
        if revision["mode"] != mode:
            mode = revision["mode"]
            phrases.append(mode if revision["revision"] == 0 else f"{mode} from revision {revision['revision']}")
    if last is not None and last != mode:
        phrases.append(f"{last} in the end")  # of many revisions, not all are kept
    return ", ".join(phrases)


def explained(bundle: Json, bundle_mode: str | None = None) -> str:
    """Return the paragraph. bundle: a bundle, complete but for its explanation; bundle_mode: as `headline` takes it."""
    sentences = [
        _correction(bundle, bundle_mode),
        _life(bundle),
        _way(bundle),
        _outcome(bundle),
        _causes(bundle),
        _signals(bundle),
        _changes(bundle),
        _operators(bundle),
    ]
    sentences += [_tools(bundle), _blocked(bundle), _events(bundle), _spent(bundle), _gaps(bundle)]
    return " ".join(sentence for sentence in sentences if sentence)


def number(value: object) -> str:
    """Return a value as a person writes it: numbers to four significant digits, lists with commas.

    >>> number(0.31999999999999995), number(900), number(["retrieval", "browser"]), number([])
    ('0.32', '900', 'retrieval, browser', 'none')
    """
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _correction(bundle: Json, bundle_mode: str | None) -> str:
    """What comes first in a supplement: that the turn's mode was not the one its bundle gave."""
    if not bundle["supplement"] or bundle["mode"] in (None, bundle_mode):
        return ""
    last = bundle["revisions"][-1]["revision"] if bundle["revisions"] else "a later one"
    before = "was written before that was known" if bundle_mode is None else f"gave its mode as {bundle_mode}"
    return f"{CORRECTION} this turn was {bundle['mode']} in the end (revision {last}); its bundle {before}."


def _life(bundle: Json) -> str:
    name, opened, closed = bundle["audit_id"], bundle["opened"], bundle["closed"]
    if bundle["supplement"]:
        after = f"after its bundle (supplement {bundle['supplement']})"
        return f"What became known of turn {name} of {bundle['identity']} {after}."
    if opened is None:
        begin = f"Turn {name} of {bundle['identity']} was never seen opened"
    else:
        begin = (
            f"Turn {name} of {bundle['identity']} (turn {opened['turn']} of session {opened['session_id']}, client "
            f"{opened['client']}) was opened at {moment(opened['ts'])}"
        )
    if closed is None:
        ends = {"refused": " and refused", "abandoned": " and never seen closed"}.get(bundle["status"], "")
    elif opened is None:
        ends = f" but closed at {moment(closed['ts'])}"
    else:
        ends = f" and closed {number(round(closed['ts'] - opened['ts'], 3))} s later"
    return f"{begin}{ends}."


def _way(bundle: Json) -> str:
    """How far the rules reached: of a turn that was observed, advised too late, or whose answer left while it came."""
    phrases = []
    if bundle["enforce"] is False:
        phrases.append("It was observed: all was decided and recorded, and nothing changed on the way.")
    if images := (bundle["opened"] or {}).get("images"):
        given = "an image" if images == 1 else f"{images} images"
        phrases.append(f"It was given with {given}, of which nothing was judged but the text beside.")
    if late := bundle.get("advice_late"):
        waited = f"did not come within {number(late['within_ms'])} ms"
        phrases.append(f"Its application was given strict defaults ({late['mode']}), because its parameters {waited}.")
    if bundle["stream"] == "windowed":
        phrases.append("Its answer left while it came, before the whole was judged, so no veto was possible.")
    return " ".join(phrases)


def _outcome(bundle: Json) -> str:
    parameters = bundle["parameters"]
    if parameters is None:
        return "" if bundle["supplement"] else "No parameters were seen for it."
    if bundle["refusal"]:
        return f"It was not admitted, because {REASONS[bundle['refusal']]}."
    review = " A person should look at it." if bundle["review"] == "suggested" else ""
    allowed = number(parameters["tool_allowlist"])
    return (
        f"It ran in {bundle['mode']} mode: temperature {number(parameters['temperature'])}, at most "
        f"{parameters['max_output_tokens']} output tokens, tools allowed: {allowed}.{review}"
    )


def _signals(bundle: Json) -> str:
    used = [_signal(one) for one in bundle["signals"] if one["fate"] in COUNTED]
    others = [_signal(one) + " " + FATES[one["fate"]] for one in bundle["signals"] if one["fate"] != "used"]
    phrases = []
    if used:
        phrases.append(f"It was shaped by {_listed(list(dict.fromkeys(used)))}.")
    elif bundle["parameters"] is not None and not bundle["supplement"]:
        phrases.append("No signal counted for it.")
    if others:
        phrases.append(f"Of the signals, {_listed(others)}.")
    return " ".join(phrases)


def _signal(one: Json) -> str:
    return f"{one['name']} {number(one['level'])}"


def _causes(bundle: Json) -> str:
    """What set the mode and the allowlist, the two that hold a turn; the lineage has the rest."""
    effects: dict[str, list[str]] = {}
    for parameter, effect in (("safety_mode", "made the turn {}"), ("tool_allowlist", "set its tools to {}")):
        last = next(
            (step for step in reversed(bundle["lineage"].get(parameter, [])) if step["from"] != step["to"]), None
        )
        if last is not None and last["step"] != "default":
            who = CAUSES.get(last["step"], last["by"])
            effects.setdefault(who, []).append(effect.format(number(last["to"])))
    phrases = _listed([f"{who} {_listed(what)}" for who, what in effects.items()]) if effects else ""
    return f"That is because {phrases}." if phrases else ""


def _changes(bundle: Json) -> str:
    phrases = []
    for revision in bundle["revisions"]:
        if revision["revision"] == 0:
            continue
        changed = revision["changed"]
        what = "" if changed is None else f", changing {_listed(list(changed))}" if changed else ""
        phrases.append(f"revision {revision['revision']} ({revision['mode']}){what}")
    return f"It was settled again while it was open: {_listed(phrases)}." if phrases else ""


def _operators(bundle: Json) -> str:
    phrases = [
        f"operator {one['by']} {INTERVENTIONS[one['kind']]} at {moment(one['ts'])}" for one in bundle["interventions"]
    ]
    return f"A person stepped in: {_listed(phrases)}." if phrases else ""


def _tools(bundle: Json) -> str:
    phrases = []
    for call in bundle["tools"]:
        name = call["tool"] or call["function"] or call["call_id"]
        if call["status"] is None:
            phrases.append(f"{name} ({'no result seen' if call['decision'] == 'allowed' else 'not decided'})")
        else:
            phrases.append(f"{name} ({call['status']} in {number(call['duration_ms'])} ms)")
    used = f"Tools used: {_listed(phrases)}." if phrases else ""
    broken = f"Left alone because they kept failing: {_listed(bundle['degraded'])}." if bundle["degraded"] else ""
    return " ".join(text for text in (used, broken) if text)


def _blocked(bundle: Json) -> str:
    phrases = [
        f"{call['function'] or call['call_id']}, because {REASONS[call['reason']]}" for call in bundle["blocked"]
    ]
    passed = bundle["enforce"] is False
    ran = [
        call["call_id"]
        for call in bundle["blocked"]
        if call["executed"] is not None and not (passed and call["tool"] is None)
    ]
    warning = f" Yet a result came for {_listed(ran)}, which must not be." if ran else ""
    return f"Tool calls denied: {_listed(phrases)}.{warning}" if phrases else ""


def _events(bundle: Json) -> str:
    kinds = [one["kind"].replace("_", " ") for one in (*bundle["incidents"], *bundle["moderation"])]
    if not kinds:
        return ""
    return f"Incidents: {_listed([f'{kinds.count(kind)} {kind}' for kind in dict.fromkeys(kinds)])}."


def _spent(bundle: Json) -> str:
    budget, phrases = bundle["budget"], []
    spent = budget["closed"] or (budget["replies"] if bundle["models"] else None)
    if spent is not None:
        phrases.append(f"It took {spent['input_tokens']} tokens in and {spent['output_tokens']} out.")
    if bundle["dropped"]:
        phrases.append(f"The model does not take {_listed(bundle['dropped'])}; so that was not sent.")
    return " ".join(phrases)


def _gaps(bundle: Json) -> str:
    phrases = [f"Not seen in time: {_listed(bundle['incomplete'])}."] if bundle["incomplete"] else []
    if bundle["omitted"]:
        phrases.append(
            f"Too many to keep: {_listed([f'{count} {kind}' for kind, count in bundle['omitted'].items()])}."
        )
    return " ".join(phrases)


def _listed(phrases: list[str]) -> str:
    """Words with commas and `and`; only the first few by name.

    >>> _listed(["a"]), _listed(["a", "b"]), _listed(list("abcdef"))
    ('a', 'a and b', 'a, b, c, d and 2 more')
    """
    if len(phrases) > SHOWN + 1:
        phrases = [*phrases[:SHOWN], f"{len(phrases) - SHOWN} more"]
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
