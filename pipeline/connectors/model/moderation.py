"""The verdict of a moderation endpoint."""

import math
from typing import Any

import orjson

from endocrine.pipeline.connectors.model.failures import Hidden, Malformed
from endocrine.pipeline.connectors.model.json_values import kind, mapping, model_name, objects
from endocrine.pipeline.connectors.model.outcome import Outcome
from endocrine.pipeline.connectors.model.provider_errors import error_in, failure_of

_NAME_CHARS = 64
_CATEGORIES = 256


def moderation_outcome(body: Any, hidden: Hidden = lambda word: True) -> Outcome:
    """Return the verdict as the content of a reply: `{"flagged": bool, "scores": {category: 0..1}}`. Raises Failed."""
    if (error := error_in(body)) is not None:
        raise failure_of(error, hidden)
    results = objects(mapping(body).get("results"), "results")
    if not results:
        raise Malformed("it has no `results`")
    given = results[0].get("category_scores")
    if not isinstance(given, dict) or len(given) > _CATEGORIES:
        raise Malformed(f"`category_scores` is {kind(given)}, expected an object of at most {_CATEGORIES} categories")
    scores = {name: score for name, score in given.items() if score is not None}
    for name, score in scores.items():
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            raise Malformed(f"a score is {kind(score)}, expected a number")
        if len(name) > _NAME_CHARS:
            raise Malformed(f"a category's name has more than {_NAME_CHARS} characters")
    content = orjson.dumps({"flagged": bool(results[0].get("flagged")), "scores": scores}).decode()
    return Outcome(content, None, (), "stop", model_name(body.get("model")), None, 0, None)
