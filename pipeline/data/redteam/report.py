"""What a run found: sentences first, then a table; or JSON."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from endocrine.pipeline.data.redteam.corpus import Corpus
from endocrine.pipeline.data.redteam.run import Result

Json = dict[str, Any]
COLUMNS = ("kind", "attack", "runs", "held", "not held", "not reached")


def sentences(results: Sequence[Result], *, must_reach: bool) -> Iterator[str]:
    """Yield what to know first, worst first."""
    counts = Counter(one.outcome for one in results)
    cases = len({one.case.name for one in results})
    held = counts["held"] + counts["not_reached"]
    if counts["not_held"]:
        yield f"{counts['not_held']} of {len(results)} attacks got through; {held} were held off."
    else:
        yield f"All {len(results)} attacks ({cases} cases) were held off: no promise was broken."
    for one in results:
        for breach in one.breaches:
            yield f"NOT HELD: {one.case.name} ({one.mode}): {breach}. Promised: {one.case.promise}"
    if counts["not_reached"]:
        names = ", ".join(f"{one.case.name} ({one.mode})" for one in results if one.outcome == "not_reached")
        why = "which a scripted model must reach" if must_reach else "so they show nothing of it"
        yield f"{counts['not_reached']} never came as far as the rule that would stop them, {why}: {names}"
    read = sum(one.on_record for one in results)
    if read:
        yield f"Incidents or audits on record were read for {read} of them."
    else:
        yield "Only what a client receives was judged: the key may not read incidents and audits."


def rows(corpus: Corpus, results: Sequence[Result]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each kind, as COLUMNS."""
    for kind, about in corpus.kinds.items():
        counts = Counter(one.outcome for one in results if one.case.kind == kind)
        if counts:
            yield kind, about, counts.total(), counts["held"], counts["not_held"], counts["not_reached"]


def summary(results: Sequence[Result], base_url: str, *, sound: bool) -> Json:
    """Return all of it as one object."""
    counts = Counter(one.outcome for one in results)
    return {
        "base_url": base_url,
        "sound": sound,
        "cases": len({one.case.name for one in results}),
        "runs": len(results),
        "held": counts["held"],
        "not_held": counts["not_held"],
        "not_reached": counts["not_reached"],
        "results": [
            {
                "case": one.case.name,
                "kind": one.case.kind,
                "mode": one.mode,
                "attack": one.case.attack,
                "promise": one.case.promise,
                "outcome": one.outcome,
                "breaches": one.breaches,
                "on_record": one.on_record,
                "identity": one.identity,
                "audit_ids": one.audit_ids,
            }
            for one in results
        ],
    }
