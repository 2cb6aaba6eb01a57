"""The answer of an ended turn, and the commands that make memory read it. Pure."""

from typing import TYPE_CHECKING, Any, NamedTuple

from endocrine.agents._shared.subjects import is_project, project_subject
from endocrine.agents.reflection.extraction import belongs, extract

if TYPE_CHECKING:
    from endocrine.agents.policy.compiled import Policy

Json = dict[str, Any]


class Answer(NamedTuple):
    """The answer of a turn, and whose it was."""

    audit_id: str
    identity: str
    project: str | None
    text: str

    @property
    def subjects(self) -> list[str]:
        """The subjects whose memories it may be about: the identity, then its project."""
        of_project = project_subject(self.project)
        return [self.identity] if of_project is None else [self.identity, of_project]


def extracted(answer: Answer, policy: "Policy") -> list[Json]:
    """Return what the rules find, each for the subject that it belongs to; nothing is written."""
    rules = policy.document.memory.extraction
    other = len(answer.subjects) > 1
    return [
        {"subject": subject, "rule": one.rule, "type": one.type, "slot": one.slot, "content": one.content}
        for subject in answer.subjects
        for one in extract(answer.text, rules)
        if belongs(one.type, project=is_project(subject), other=other, rules=rules)
    ]


def extractions(answer: Answer, found: list[Json]) -> list[Json]:
    """Return the commands that make candidates of what was found: one a subject, without id, time and operator."""
    wanted = {one["subject"] for one in found}
    command = {"kind": "memory_extract", "audit_id": answer.audit_id, "text": answer.text}
    of_project: Json = {} if len(answer.subjects) == 1 else {"project": answer.project}
    whose = {subject: {"turn_identity": answer.identity} for subject in answer.subjects[1:]}
    return [
        {**command, "identity": subject, **of_project, **whose.get(subject, {})}
        for subject in answer.subjects
        if subject in wanted
    ]


def reinforcements(answer: Answer) -> list[Json]:
    """Return the commands that hold the answer against the memories of its subjects."""
    command = {"kind": "memory_reinforce", "audit_id": answer.audit_id, "text": answer.text}
    return [{**command, "identity": subject} for subject in answer.subjects]
