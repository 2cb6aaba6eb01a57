"""Settings from environment variables, and one kind of error for all of them: a line for each wrong variable."""

import re
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings
from pydantic_settings import SettingsError as UnreadableSetting

_QUOTED = re.compile(r'"([^"]+)"')


class SettingsError(ValueError):
    """Settings that cannot be used. The text holds a line for each: its name, the kind of value, what was expected.

    Never the value itself: an address may hold a password.
    """


class EnvironmentSettings(BaseSettings):
    """Base of all our settings. Raises SettingsError for what cannot be used."""

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise SettingsError(error_lines(error, str(self.model_config.get("env_prefix", "")))) from None
        except UnreadableSetting as error:
            found = _QUOTED.search(str(error))
            name = f"{self.model_config.get('env_prefix', '')}{found[1] if found else ''}".upper()
            raise SettingsError(f"{name}: a text that is not JSON; expected a JSON object") from None


def error_lines(error: ValidationError, prefix: str) -> str:
    """Return a line for each problem. prefix: of the variables."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        field, *within = (str(part) for part in problem["loc"]) if problem["loc"] else ("",)
        # An alias is the variable's own name already.
        name = field if field.isupper() else f"{prefix}{field}".upper()
        place = ".".join([name, *(part for part in within if part != "[key]")])
        lines.append(f"{place}: {kind_of_value(problem['input'])}; expected {_expected(problem['msg'])}")
    return "\n".join(lines)


def kind_of_value(value: Any) -> str:
    """Return the kind of a value, without its content.

    >>> kind_of_value("secret"), kind_of_value(""), kind_of_value(7)
    ('a text of 6 characters', 'an empty text', 'the number 7')
    """
    if isinstance(value, bool) or value is None:
        return f"{value}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"a text of {len(value)} character{'s' if len(value) > 1 else ''}" if value else "an empty text"
    return f"a {type(value).__name__}"


def _expected(message: str) -> str:
    """pydantic's sentence as what follows `expected`.

    >>> _expected("Input should be greater than or equal to 1"), _expected("Value error, an address")
    ('a value greater than or equal to 1', 'an address')
    """
    message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    for begin in ("Input should be ", "String should "):
        if message.startswith(begin):
            message = message.removeprefix(begin)
            if begin.startswith("String"):
                return f"a text that should {message}"
            return f"a value {message}" if message.startswith(("greater", "less")) else message.partition(", unable")[0]
    return message
