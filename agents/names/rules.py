"""What a name may be: the same at every door, in the registry, and where records are read. Pure.

These are no policy: a record must be judged alike for ever, whatever policy is in force.
"""

from typing import Literal

MOST = 256
"""Characters of a name."""
MOST_PROJECT = 200
"""Characters of a project's id: `project:` before it still fits into a name."""
PROJECT = "project:"
"""Begins the subject of a project; its id follows."""
RESERVED = (PROJECT, "$")
"""No identity of a person begins so, in any case: the first are subjects of projects, the others our own names."""
Fault = Literal["empty", "too_long", "reserved_name"]
"""Why a name cannot be one."""
_INITIALS = frozenset("pP$")
"""What a reserved name begins with. Almost no other begins so, and every record's identity is looked at."""


def reserved(name: str) -> bool:
    """Return whether a name is refused as an identity of people's topics.

    >>> reserved("Project:p05"), reserved("$registry"), reserved("projects"), reserved("pat")
    (True, True, False, False)
    """
    return name[:1] in _INITIALS and name[: len(PROJECT)].lower().startswith(RESERVED)


def fault_of(scope: str, name: str) -> Fault | None:
    """Return why this is no name of a scope; None where it is one. White space around it is cut by who asks.

    >>> fault_of("identity", "project:p05"), fault_of("project", "p" * 201), fault_of("identity", "Ann")
    ('reserved_name', 'too_long', None)
    """
    if not name:
        return "empty"
    if len(name) > (MOST_PROJECT if scope == "project" else MOST):
        return "too_long"
    if scope == "identity" and reserved(name):
        return "reserved_name"
    return None


def project_subject(project: str) -> str:
    """Return the subject that a project's records lie under.

    >>> project_subject("p05-billing")
    'project:p05-billing'
    """
    return PROJECT + project
