"""Reading a body with pydantic, and what is wrong with it in OpenAI's form; a message never repeats a value."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from endocrine.pipeline.gateway.openai.refusals import Refused
from endocrine.schemas.base import STRICT

_SHOWN_CHARS = 64
_TAGGED = ("messages", "input", "content", "output")
"""Lists whose entries are of several kinds."""
_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "int_from_float": "an integer",
}
_UNSUPPORTED = "unsupported_value"
_OTHER_PARTS = frozenset(
    {
        "audio",
        "computer_screenshot",
        "document",
        "file",
        "image",
        "input_audio",
        "input_file",
        "input_video",
        "video_url",
    }
)
"""Parts of content that are known, and that nothing here could judge."""
Model = TypeVar("Model", bound=BaseModel)


class Body(BaseModel):
    """A JSON object of a request. Strict: unknown members are refused, and named."""

    model_config = STRICT


class Only:
    """Annotates a member that OpenAI takes and we do not pass on: null is accepted, and values that make no difference.

    Any other value is refused as `unsupported_parameter`.
    """

    def __init__(self, *accepted: Any) -> None:
        self.accepted = accepted

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"enum": [*self.accepted, None]} if self.accepted else {"type": "null"}

    def _checked(self, value: Any) -> Any:
        if value is None or _among(value, self.accepted):
            return value
        raise PydanticCustomError(_UNSUPPORTED, "not accepted", {"accepted": list(self.accepted)})


def parsed_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object in a body. Raises Refused."""
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise Refused("invalid_json") from None
    if not isinstance(found, dict):
        raise Refused("invalid_json", f"The body is {kind(found)}, expected an object.")
    return found


def without_neutral(body: Mapping[str, Any], neutral: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the body without the members that are null or ask for nothing that is not done anyway.

    neutral: by name, the values that change nothing. Raises Refused (`unsupported_parameter`) for any other value.
    """
    kept: dict[str, Any] = {}
    for name, value in body.items():
        if value is None:
            if name not in neutral:
                kept[name] = value
        elif name not in neutral:
            kept[name] = value
        elif not _among(value, neutral[name]):
            raise _unsupported(name, neutral[name])
    return kept


def _among(value: Any, accepted: Sequence[Any]) -> bool:
    return any(type(value) is type(one) and value == one for one in accepted)


def _unsupported(place: str, accepted: Sequence[Any]) -> Refused:
    shown = ", ".join(orjson.dumps(one).decode() for one in accepted)
    more = f"; accepted: {shown} or null" if shown else ""
    return Refused("unsupported_parameter", f"Unsupported parameter: '{place}' with this value{more}.", param=place)


def read(model: type[Model], body: Mapping[str, Any]) -> Model:
    """Return the body as a model. Raises Refused for the fault that lies deepest, unknown members first."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=True, include_input=False)
    placed = [(place_of(fault["loc"], body, fault["type"] == "missing"), fault) for fault in faults]
    depth = max(len(place) for place, _ in placed)
    deepest = [(place, fault) for place, fault in placed if len(place) == depth]
    # Of the members of a union that are of another kind than the value there is nothing to report.
    ranked = sorted(deepest, key=lambda one: (one[1]["type"] != "extra_forbidden", one[1]["type"] in _EXPECTED))
    place, fault = ranked[0]
    raise _refused(shown_place(place), fault, _at(body, place))


def place_of(loc: Sequence[int | str], body: Any, missing: bool) -> tuple[int | str, ...]:
    """Return the place within the body; what pydantic adds to it for members of unions is left out."""
    place: list[int | str] = []
    found = body
    for number, part in enumerate(loc):
        if _is_tag(part, place, found) and number < len(loc) - 1:
            found = dict(found, type=None, role=None)  # a tag is there once
            continue
        if isinstance(part, int) and isinstance(found, list) and part < len(found):  # noqa: SIM114 - types differ
            found = found[part]
        elif isinstance(found, Mapping) and part in found:
            found = found[part]
        elif not (missing and number == len(loc) - 1):
            continue
        place.append(part)
    return tuple(place)


def _is_tag(part: int | str, place: Sequence[int | str], found: Any) -> bool:
    """Whether a part of a place is not a name but the kind of a list's entry, which pydantic adds."""
    if len(place) < 2 or not isinstance(place[-1], int) or place[-2] not in _TAGGED or not isinstance(found, Mapping):
        return False
    return part in (found.get("type"), found.get("role"))


def shown_place(place: Sequence[int | str]) -> str:
    """Return a place as OpenAI writes it.

    >>> shown_place(("messages", 0, "content"))
    'messages[0].content'
    """
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part[:_SHOWN_CHARS]}" if text else part[:_SHOWN_CHARS]
    return "".join(char if char.isprintable() else "?" for char in text)


def kind(value: Any) -> str:
    """Return what kind of JSON value it is, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    names: dict[type, str] = {
        str: "a string",
        int: "an integer",
        float: "a number",
        list: "an array",
        dict: "an object",
    }
    return names.get(type(value), "a value")


def _at(body: Any, place: Sequence[int | str]) -> Any:
    found = body
    for part in place:
        if isinstance(found, list) and isinstance(part, int):
            found = found[part]
        elif isinstance(found, Mapping):
            found = found.get(part)
    return found


def _refused(place: str, fault: Mapping[str, Any], value: Any) -> Refused:
    what, context = fault["type"], fault.get("ctx", {})
    if what == "extra_forbidden":
        return Refused("unknown_parameter", f"Unknown parameter: '{place}'.", param=place)
    if what == "missing":
        return Refused("missing_required_parameter", f"Missing required parameter: '{place}'.", param=place)
    if what == _UNSUPPORTED:
        return _unsupported(place, context["accepted"])
    if what in _EXPECTED:
        return Refused("invalid_value", f"'{place}' is {kind(value)}, expected {_EXPECTED[what]}.", param=place)
    if what == "union_tag_invalid" and context["tag"] in _OTHER_PARTS:
        message = f"'{place}.type': only text is supported."
        return Refused("unsupported_parameter", message, param=f"{place}.type")
    if what == "union_tag_invalid":
        return Refused("invalid_value", f"'{place}': expected one of {context['expected_tags']}.", param=place)
    if what == "value_error":
        return Refused("invalid_value", f"'{place}': {context['error']}.", param=place)
    return Refused("invalid_value", f"'{place}': {fault['msg']}.", param=place)
