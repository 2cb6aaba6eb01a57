"""YAML with line numbers: plain JSON values, and the line of each path. Duplicate keys are refused."""

from typing import Any, NamedTuple

import yaml
from yaml.constructor import ConstructorError
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

SomePath = tuple[str, ...]
_PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")}


class Problem(NamedTuple):
    """Something wrong with the text itself."""

    line: int
    path: SomePath
    text: str
    wrong: str
    expected: str


class Read(NamedTuple):
    """A text as JSON values. `lines` gives the line (from 1) of each path; an entry of a list goes by its `name`."""

    value: Any
    lines: dict[SomePath, int]
    problems: list[Problem]


class _Loader(yaml.SafeLoader):
    """Composes nodes without aliases: an alias can make a small file unfold into gigabytes."""

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.check_event(AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not supported: write the value out", mark
            )
        return super().compose_node(parent, index)


_Ours = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml, where PyYAML has it: ten times as fast. Not for a person's file: its sentences say less, and it has no bound
on the depth."""


def read_yaml(text: str, *, ours: bool = False) -> Read:
    """Read one YAML document. Never raises: what is wrong is a problem with its line; unreadable, the value is None.

    ours: it is a file of this package.
    """
    lines: dict[SomePath, int] = {(): 1}
    problems: list[Problem] = []
    try:
        loader = _Ours(text) if ours else _Loader(text)
        node = loader.get_single_node()
        value = None if node is None else _value(loader, node, (), lines, problems)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        lines_of_text = text.splitlines()
        shown = lines_of_text[line - 1].strip() if line <= len(lines_of_text) else ""
        wrong = f"not YAML: {' '.join(filter(None, [error.context, error.problem]))}"
        expected = "YAML; an expression that begins with [ or holds ': ' needs quotes"
        return Read(None, lines, [Problem(line, (), shown, wrong, expected)])
    except yaml.YAMLError as error:
        return Read(
            None, lines, [Problem(1, (), "", f"not YAML: {error}".replace("\n", " "), "printable text in UTF-8")]
        )
    except RecursionError:
        return Read(None, lines, [Problem(1, (), "", "nested too deeply", "a few levels")])
    return Read(value, lines, problems)


def _value(
    loader: yaml.SafeLoader, node: Node, path: SomePath, lines: dict[SomePath, int], problems: list[Problem]
) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        return _mapping(loader, node, path, lines, problems)
    if isinstance(node, SequenceNode):
        return [
            _value(loader, item, (*path, _entry_name(item) or str(place)), lines, problems)
            for place, item in enumerate(node.value)
        ]
    if node.tag not in _PLAIN:
        problem = f"a {node.tag.rsplit(':', 1)[-1]} is not supported"
        expected = "text, a number, true, false, null, a list or a mapping; quotes make text"
        problems.append(Problem(node.start_mark.line + 1, path, str(node.value), problem, expected))
        return str(node.value)
    try:
        return loader.construct_object(node)
    except (ConstructorError, ValueError) as error:
        problems.append(Problem(node.start_mark.line + 1, path, str(node.value), f"cannot be read: {error}", "a value"))
        return str(node.value)


def _mapping(
    loader: yaml.SafeLoader, node: MappingNode, path: SomePath, lines: dict[SomePath, int], problems: list[Problem]
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
            text = key_node.value if isinstance(key_node, ScalarNode) else key_node.id
            problems.append(Problem(line, path, str(text), "the key is no text", "a name; quotes make text"))
            continue
        key = str(key_node.value)
        if key in result:
            first = lines[*path, key]
            problems.append(Problem(line, (*path, key), key, f"the key is on line {first} already", "each key once"))
            continue
        lines[*path, key] = line
        result[key] = _value(loader, value_node, (*path, key), lines, problems)
    return result


def _entry_name(node: Node) -> str | None:
    """The `name` of a list's entry that has one."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if isinstance(key, ScalarNode) and key.value == "name" and isinstance(value, ScalarNode):
                return str(value.value)
    return None
