"""State of the modulation agent for one identity, as it is stored: JSON values; `memory.py` is its working copy."""

from typing import Any, NotRequired, TypedDict

Row = list[Any]
"""A JSON array with the fields of `Held`."""


class Listed(TypedDict):
    """A signal as a modulation lists it."""

    name: str
    level: float
    source: str
    ts: float
    fate: str


class StoredTurn(TypedDict):
    """`memory.Turn` as JSON values. Optional: what earlier versions did not store, and what most turns lack."""

    content: str
    ts: float
    admitted: bool
    refusal: str | None
    used: list[Row]
    revision: NotRequired[int]
    parameters: NotRequired[dict[str, Any]]
    answered: NotRequired[bool]
    tightened_by: NotRequired[str | None]
    cleared: NotRequired[int]
    expires: NotRequired[float | None]
    approved: NotRequired[float | None]
    approved_by: NotRequired[str | None]
    counted: NotRequired[bool]
    own_tools: NotRequired[bool]
    declared: NotRequired[str | None]
    client: NotRequired[str | None]


class ModulationState(TypedDict):
    """`memory.Memory` as JSON values."""

    active: dict[str, list[Row]]
    one_turn: list[Row]
    risk: list[Row]
    risk_merged: bool
    risk_waiting: list[Row]
    risk_over: Row | None
    risk_serial: int
    risk_budgets: dict[str, list[int]]
    clocks: dict[str, float]
    to_show: list[Listed]
    accepted: dict[str, float]
    budgets: dict[str, list[int]]
    stress: list[Any] | None
    """A `Run`."""
    style: list[Any] | None
    """A `Style`."""
    cap: list[Any]
    """A `Cap`."""
    spent: NotRequired[list[int]]
    """A `Spent`."""
    turns: dict[str, StoredTurn]
    closed: list[list[str]]
    declared: NotRequired[dict[str, list[Any]]]
