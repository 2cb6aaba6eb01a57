"""Docstrings of public functions begin with a verb in the imperative, of a closed list: `Return`, `Append`, ...

Packages join `CHECKED` when their docstrings are rewritten; none leaves it. Properties are named like values and may
begin otherwise.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CHECKED = (
    "agents/analytics",
    "agents/attribution",
    "agents/audit",
    "agents/bonds",
    "agents/conversation",
    "agents/feedback",
    "agents/gating",
    "agents/moderation",
    "agents/modulation",
    "agents/policy",
    "agents/suspicion",
    "pipeline/core",
    "pipeline/data/asyncapi",
    "pipeline/data/dead_letters",
    "pipeline/data/export",
    "pipeline/data/ingest",
    "pipeline/kafka",
    "pipeline/process",
    "pipeline/replay",
    "pipeline/replay/audit_chain",
    "pipeline/runtime",
    "pipeline/views",
    "pipeline/views/explain",
    "pipeline/views/metrics",
    "pipeline/views/status",
    "schemas",
)
"""Folders whose modules are checked, without the folders in them."""
VERBS = {
    "Accept",
    "Add",
    "Append",
    "Apply",
    "Ask",
    "Begin",
    "Bring",
    "Cancel",
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
    "Deny",
    "Disconnect",
    "Do",
    "Drop",
    "End",
    "Fetch",
    "Find",
    "Flush",
    "Forget",
    "Give",
    "Go",
    "Hand",
    "Hold",
    "Judge",
    "Keep",
    "Learn",
    "Let",
    "Load",
    "Look",
    "Make",
    "Name",
    "Note",
    "Open",
    "Parse",
    "Pass",
    "Print",
    "Process",
    "Produce",
    "Put",
    "Read",
    "Recover",
    "Release",
    "Remember",
    "Remove",
    "Repair",
    "Report",
    "Reserve",
    "Return",
    "Run",
    "See",
    "Seek",
    "Send",
    "Serve",
    "Set",
    "Settle",
    "Sign",
    "Spend",
    "Start",
    "Stop",
    "Take",
    "Tell",
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


@pytest.mark.parametrize("folder", CHECKED)
def test_docstrings_of_public_functions_begin_with_a_verb_of_the_list(folder):
    files = sorted((ROOT / folder).glob("*.py"))
    assert files
    assert [(file.name, *found) for file in files for found in other_first_words(file.read_text())] == []


def test_a_docstring_that_begins_otherwise_is_found_and_a_propertys_is_not():
    source = (
        'def f():\n    """What is there."""\n\ndef g():\n    """Return it."""\n\n'
        '@property\ndef h(self):\n    """The value."""\n\ndef _i():\n    """The rest."""\n'
    )
    assert list(other_first_words(source)) == [(1, "f", "What")]
