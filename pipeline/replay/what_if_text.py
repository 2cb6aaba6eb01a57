"""What would have been, in sentences: what a person wants to know first, counts before details. Pure."""

from collections import Counter
from collections.abc import Iterator

from endocrine.agents.audit.narrative import REASONS
from endocrine.pipeline.replay.what_if import WhatIf
from endocrine.pipeline.views.text_width import clean

SHOWN = 8
"""Fields named one by one, and reasons of one kind of change."""
_UNKNOWN = {
    "result_left_out": "results of calls that the other policy would not have allowed were left out",
    "result_missing": "calls would be allowed that never ran, so their results are not known",
    "said_after": "records were written after a turn that would have gone otherwise, and might not have been",
}


def sentences(found: WhatIf) -> list[str]:
    """Return the report as lines: calls, turns, incidents, what is not known, and how well the first world fits the
    record."""
    lines = [*_calls(found), *_turns(found), *_incidents(found)]
    if not found.counts:
        lines.append(f"Nothing would have been otherwise, over {found.inputs} records from outside.")
    lines += [f"Not known: {count} {_UNKNOWN[kind]}." for kind, count in sorted(found.unknown.counts.items()) if count]
    lines.append(_baseline(found))
    lines.append(f"Policy {found.policy[:12]}; --json has every change, --format html a page.")
    return [clean(line) for line in lines]


def _calls(found: WhatIf) -> Iterator[str]:
    count = found.counts["tool-decisions", "changed"]
    if count:
        parts = [f"{n} {part}" for part, n in Counter(_decided(found)).most_common(SHOWN)]
        rest = count - sum(found.decided.values())
        if rest:
            parts.append(f"{rest} with the same outcome, and other details")
        yield f"{count} {_plural('call', count)} decided otherwise: {'; '.join(parts)}."
    yield from _new_and_gone(found, "tool-decisions", "decision")


def _decided(found: WhatIf) -> Counter[str]:
    parts: Counter[str] = Counter()
    for (before, was, after, reason), count in found.decided.items():
        because = "" if reason is None else f" because {REASONS.get(reason, reason)}"
        if before != after:
            parts[f"{before} would be {after}{because}"] += count
        else:
            parts[f"would be {after} for another reason ({was or 'none'}, then {reason or 'none'})"] += count
    return parts


def _turns(found: WhatIf) -> Iterator[str]:
    count = found.counts["modulations", "changed"] - found.same_result
    if count:
        modes = [f"{n} {before} would be {after}" for (before, after), n in found.modes.most_common(SHOWN)]
        names: Counter[str] = Counter()
        for (topic, path), n in found.fields.items():
            if topic == "modulations" and "lineage" not in path:
                names[_name(path)] = max(names[_name(path)], n)  # entries of one list: at least so many records
        fields = [f"{name} in {n}" for name, n in names.most_common()]
        more = f" and {len(fields) - SHOWN} more" if len(fields) > SHOWN else ""
        parts = [*modes, ", ".join(fields[:SHOWN]) + more]
        yield f"{count} {_plural('modulation', count)} otherwise: {'; '.join(parts)}."
    if same := found.same_result:
        more = " more" if count else ""
        yield f"{same}{more} {_plural('modulation', same)} would come to the same parameters by other steps."
    yield from _new_and_gone(found, "modulations", "modulation")


def _incidents(found: WhatIf) -> Iterator[str]:
    count = found.counts["incidents", "changed"]
    if count:
        yield f"{count} {_plural('incident', count)} with other details."
    yield from _new_and_gone(found, "incidents", "incident")


def _new_and_gone(found: WhatIf, topic: str, noun: str) -> Iterator[str]:
    new, gone = found.counts[topic, "new"], found.counts[topic, "gone"]
    if new:
        yield f"{new} {_plural(noun, new)} would be new."
    if gone:
        yield f"{gone} {_plural(noun, gone)} would not have been."


def _baseline(found: WhatIf) -> str:
    base = f"Under the policies in force, {found.as_recorded} records come out as they are on the topics"
    if not found.otherwise:
        return f"{base}, all of them."
    return f"{base} and {found.otherwise} otherwise: a live run may read its topics in another order."


def _name(path: str) -> str:
    """The field without its place in a list: `$.parameters.tool_allowlist[1]` is `tool_allowlist`."""
    return path.removeprefix("$.").removeprefix("parameters.").partition("[")[0]


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"
