"""Format `behave-jsonl`: one BEHAVE observation per line, as the sensors publish them."""

from typing import Any, BinaryIO

from pydantic import ValidationError

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.data.ingest.explain import explain
from endocrine.pipeline.data.ingest.lines import json_objects
from endocrine.pipeline.data.ingest.model import Options, Piece, Pieces, Record, Refused

TOPIC = "observations"
EXPECTED = "one BEHAVE observation (a JSON object with `primitive`, `value`, `confidence`, `window`, ...) per line"


def read(stream: BinaryIO, name: str, options: Options) -> Pieces:
    """Yield each line as it came; one without `identity_ref` takes the identity of the options, or is refused."""
    for item in json_objects(stream, name, EXPECTED):
        yield item if isinstance(item, Refused) else _record(*item, options.identity)


def _record(where: str, value: dict[str, Any], identity: str | None) -> Piece:
    if value.get("identity_ref") is None:
        if identity is None:
            problem = "the observation has no `identity_ref`; expected one, or --identity ID for all that have none"
            return Refused(where, problem)
        value = value | {"identity_ref": identity}
    try:
        CATALOGUE[TOPIC].adapter.validate_python(value)
    except ValidationError as error:
        return Refused(where, f"no BEHAVE observation: {explain(error, 'observation')}; expected {EXPECTED}")
    return Record(where, TOPIC, value)
