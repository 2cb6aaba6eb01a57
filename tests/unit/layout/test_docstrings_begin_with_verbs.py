"""Docstrings of public functions begin with a verb in the imperative, of a closed list: `Return`, `Append`, ...

Properties are named like values and may begin otherwise.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PACKAGES = {
    path.parent.relative_to(ROOT).as_posix()
    for top in ("agents", "pipeline", "schemas")
    for path in (ROOT / top).rglob("*.py")
}
NAMES = {("app.py", "endocrine")}
"""(file, function) whose docstring is the help text of the whole command line."""
VERBS = {
    "Accept",
    "Add",
    "Append",
    "Apply",
    "Ask",
    "Begin",
    "Bring",
    "Build",
    "Cancel",
    "Carry",
    "Change",
    "Check",
    "Choose",
    "Clear",
    "Close",
    "Collect",
    "Commit",
    "Compare",
    "Compile",
    "Complete",
    "Configure",
    "Connect",
    "Count",
    "Create",
    "Cut",
    "Decide",
    "Delete",
    "Deny",
    "Detect",
    "Disconnect",
    "Do",
    "Draw",
    "Drop",
    "End",
    "Explain",
    "Extract",
    "Feed",
    "Fetch",
    "Find",
    "Flush",
    "Follow",
    "Forget",
    "Format",
    "Give",
    "Go",
    "Hand",
    "Hold",
    "Invalidate",
    "Judge",
    "Keep",
    "Kill",
    "Learn",
    "Let",
    "List",
    "Listen",
    "Load",
    "Look",
    "Make",
    "Move",
    "Name",
    "Note",
    "Open",
    "Parse",
    "Pass",
    "Place",
    "Print",
    "Process",
    "Produce",
    "Project",
    "Put",
    "Re-run",
    "Read",
    "Rebuild",
    "Record",
    "Recover",
    "Refuse",
    "Register",
    "Reinforce",
    "Release",
    "Remember",
    "Remove",
    "Repair",
    "Report",
    "Reserve",
    "Resolve",
    "Return",
    "Revoke",
    "Run",
    "Say",
    "See",
    "Seek",
    "Send",
    "Serve",
    "Set",
    "Settle",
    "Show",
    "Sign",
    "Spend",
    "Start",
    "State",
    "Stop",
    "Switch",
    "Take",
    "Talk",
    "Tell",
    "Turn",
    "Verify",
    "Wait",
    "Write",
    "Yield",
}


def other_first_words(source):
    """(line, name, first word) of each public function whose docstring begins with no verb of the list."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if any("property" in ast.unparse(decorator) for decorator in node.decorator_list):
            continue
        if text := ast.get_docstring(node):
            word = text.split()[0].strip(".,:;")
            if word not in VERBS:
                yield node.lineno, node.name, word


@pytest.mark.parametrize("folder", sorted(PACKAGES))
def test_docstrings_of_public_functions_begin_with_a_verb_of_the_list(folder):
    files = sorted((ROOT / folder).glob("*.py"))
    assert files
    found = [(file.name, *one) for file in files for one in other_first_words(file.read_text())]
    assert [one for one in found if (one[0], one[2]) not in NAMES] == []


def test_a_docstring_that_begins_otherwise_is_found_and_a_propertys_is_not():
    source = (
        'def f():\n    """What is there."""\n\ndef g():\n    """Return it."""\n\n'
        '@property\ndef h(self):\n    """The value."""\n\ndef _i():\n    """The rest."""\n'
    )
    assert list(other_first_words(source)) == [(1, "f", "What")]
