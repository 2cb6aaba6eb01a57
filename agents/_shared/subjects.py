"""Subjects: whose a memory or a statement is. An identity, or a project, written `project:` and its id."""

PROJECT = "project:"
MOST_PROJECT = 200
"""Characters of a project's id; a longer name is no project."""


def project_subject(project: str | None) -> str | None:
    """Return the subject of a project; None without one: absent, empty, or longer than an id may be.

    >>> project_subject("p05"), project_subject(""), project_subject(None)
    ('project:p05', None, None)
    """
    return f"{PROJECT}{project}" if project and len(project) <= MOST_PROJECT else None


def is_project(subject: str) -> bool:
    """Return whether a subject is a project."""
    return subject.startswith(PROJECT)


def finer(subject: str, part: str) -> str:
    """Return a state key below a subject. The part holds no slash, so that no two pairs have one key.

    >>> finer("ops/ann", "unit"), finer("ops", "")
    ('ops/ann/unit', 'ops/')
    """
    return f"{subject}/{part}"
