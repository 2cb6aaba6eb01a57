"""Topic `observations`: BEHAVE observations, as `behave-core` 0.1 publishes them.

They carry labels, aggregates and hashes only, never content. A TypedDict, not a model class: on the hottest path of
the system validation is the largest cost, and this form halves it for the same checks.
"""

from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@with_config(STRICT)
class Window(TypedDict):
    """The time measured over, seconds since 1970; `end_ts` not before `start_ts`; equal for a point."""

    start_ts: Annotated[float, Field(description="Seconds since 1970-01-01 UTC.")]
    end_ts: Annotated[float, Field(description="Seconds since 1970-01-01 UTC, not before start_ts.")]


def _in_order(window: Window) -> Window:
    if window["end_ts"] < window["start_ts"]:
        raise PydanticCustomError("window_order", "end_ts lies before start_ts; expected it at or after")
    return window


@with_config(STRICT)
class Observation(TypedDict):
    """One behavioural observation. Bounds as in `behave_core.spec.envelope`; `identity_ref` is required here."""

    primitive: Annotated[
        str,
        StringConstraints(min_length=1, max_length=256),
        Field(description="What was measured, such as `cognitive.cognitive_load` (config/primitives.yaml)."),
    ]
    value: Annotated[
        str | bool | int | float | list[str] | list[int] | list[float] | dict[str, Any],
        Field(union_mode="left_to_right", description="Typed by the primitive: label, number, hash, list or object."),
    ]
    confidence: Annotated[float, Field(ge=0, le=1, description="The sensor's confidence in this measurement.")]
    window: Annotated[Window, AfterValidator(_in_order), Field(description="The time measured over.")]
    source: Annotated[str, StringConstraints(min_length=1), Field(description="Canonical sensor identifier.")]
    evidence_ref: NotRequired[Annotated[str | None, Field(description="Pointer to evidence, never the evidence.")]]
    identity_ref: Annotated[
        str, StringConstraints(min_length=1, max_length=256), Field(description="Opaque identity; the record's key.")
    ]
    ts: Annotated[float, Field(description="Emission time, seconds since 1970.")]
    id: Annotated[
        str,
        StringConstraints(min_length=1, max_length=256),
        Field(description="Id given by the sensor; copies share it."),
    ]
    v: Annotated[int, Field(ge=1, le=1, description="Envelope version.")]
