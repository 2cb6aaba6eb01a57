"""JSON Schemas of the policy: of a tool's arguments, and patterns over arguments and results."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import extend
from pydantic import AfterValidator, Field

# JSON Schema lets 5.0 pass as an integer; a handler would get a float. No coercion: it must be written as an integer.
_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


def compiled(schema: Mapping[str, Any] | bool) -> Any:
    """The validator of a schema that was checked: `is_valid(value)`."""
    return _Validator(schema)


def checked(schema: Any) -> Any:
    """The schema as it is. Raises ValueError where it is none, or refers to anything outside itself."""
    try:
        _Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"not a JSON Schema: {error.json_path}: {error.message}") from error
    if any("$ref" in part or "$dynamicRef" in part for part in parts(schema)):
        raise ValueError("$ref is not supported: write the schema out")
    return schema


def parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Every object within a schema, itself first."""
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from parts(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from parts(part)


Pattern = Annotated[
    bool | dict[str, Any],
    AfterValidator(checked),
    Field(description="JSON Schema 2020-12 that holds or not; true: always. An absent key is no match: name it."),
]
"""What arguments or results are held against. `properties` alone holds where the key is absent: use `required`."""
