"""What moderation and the guardian make of a turn's texts (rules, section 1: what raises alignment_risk)."""

from endocrine.agents.conversation import application
from endocrine.agents.conversation.guardian import fired, scores_of, verdict_of
from endocrine.agents.conversation.memory import Json
from endocrine.agents.conversation.model_requests import ask_guardian, ask_moderation
from endocrine.agents.conversation.turn_context import TurnContext
from endocrine.agents.moderation.local import Verdict, judge, judge_all, weigh
from endocrine.agents.moderation.rules import Place
from endocrine.schemas.models import ModelReply


def flag(desk: TurnContext, audit_id: str, turn: Json, verdict: Verdict) -> None:
    """A flagged text: an incident, and the turn goes on only under a modulation that knows of it."""
    desk.incident("moderation", audit_id, turn, verdict.reason(), verdict.score)
    _need(desk, turn, verdict.score)


def judge_input(desk: TurnContext, audit_id: str, turn: Json) -> None:
    """Judge the user's prompt and the context, which may quote anybody."""
    parts = (turn["prompt"], turn["context"], application.of(turn).get("judged"))
    text = "\n".join(part for part in parts if part is not None)
    rules = desk.policy.document.moderation
    long = application.of(turn).get("messages") is not None
    verdict = (judge_all if long else judge)(text, "input", desk.preset(turn), rules)
    _input(desk, audit_id, turn, verdict)
    if desk.is_open(audit_id) and rules.provider == "remote":
        ask_moderation(desk, audit_id, turn, "input", text)


def judge_answer(desk: TurnContext, audit_id: str, turn: Json) -> None:
    """Judge the final text by the local rules; then ask those whose verdict comes as a record."""
    rules = desk.policy.document.moderation
    _output(desk, audit_id, turn, judge(turn["answer"], "output", desk.preset(turn), rules))
    if not desk.is_open(audit_id):
        return
    if application.windowed(turn):  # it has left by now: a veto needs the whole text first
        turn["phase"] = "judging"
        return
    names = fired(turn["answer"], turn, desk.policy)
    if names:
        veto(desk, audit_id, turn, names)
        return
    turn["phase"] = "judging"
    if rules.provider == "remote":
        ask_moderation(desk, audit_id, turn, "output", turn["answer"])
    if desk.rules.guardian.provider == "model" and not ask_guardian(desk, audit_id, turn):
        desk.close(audit_id, turn, "budget_exceeded")


def heard(desk: TurnContext, audit_id: str, turn: Json, reply: ModelReply, what: str) -> None:
    """Take in a verdict that was asked for. One that is none withholds: it fails closed."""
    content = reply.content if reply.status == "ok" else None
    if what == "guardian":
        names = verdict_of(content)
        if names is None:
            _no_verdict(desk, audit_id, turn)
        elif names:
            veto(desk, audit_id, turn, names)
        return
    scores = scores_of(content)
    if scores is None:
        _no_verdict(desk, audit_id, turn)
        return
    place: Place = "input" if what == "input" else "output"
    verdict = weigh(scores, (), place, desk.preset(turn), desk.policy.document.moderation)
    (_input if what == "input" else _output)(desk, audit_id, turn, verdict)


def veto(desk: TurnContext, audit_id: str, turn: Json, names: list[str]) -> None:
    """The first veto: asked once more, more strictly, under the revision it calls for. The second withholds."""
    score = desk.rules.guardian.score
    desk.incident("guardian_veto", audit_id, turn, ", ".join(names), score)
    if application.observed(turn):
        turn["phase"] = "judging"
        return
    drop_verdicts(desk, turn)
    if turn["strictly"]:
        desk.close(audit_id, turn, "vetoed", ", ".join(names))
        return
    turn.update(strictly=True, again=True, answer=None, cut=False, phase="ready")
    _need(desk, turn, score)


def drop_verdicts(desk: TurnContext, turn: Json) -> None:
    """Wait for no verdict any more: the answer they are about is gone. What they hold of the budget is spent."""
    for verdict in turn["judges"].values():
        desk.settle(verdict["held"], None)
    turn["judges"] = {}


def _input(desk: TurnContext, audit_id: str, turn: Json, verdict: Verdict) -> None:
    if verdict.flagged:
        flag(desk, audit_id, turn, verdict)
    if verdict.blocked and not application.observed(turn):
        desk.close(audit_id, turn, "input_blocked", ", ".join(verdict.scores))


def _output(desk: TurnContext, audit_id: str, turn: Json, verdict: Verdict) -> None:
    """A flagged answer that is not blocked goes out: the incident is what remains of it."""
    if verdict.flagged:
        desk.incident("moderation", audit_id, turn, verdict.reason(), verdict.score)
    if verdict.blocked and not application.observed(turn):
        desk.close(audit_id, turn, "output_blocked", ", ".join(verdict.scores))


def _no_verdict(desk: TurnContext, audit_id: str, turn: Json) -> None:
    if not application.observed(turn):
        desk.close(audit_id, turn, "no_verdict")


def _need(desk: TurnContext, turn: Json, risk: float) -> None:
    if application.observed(turn):
        return
    turn["need"] = max(risk, turn["need"] or 0.0)
    turn["until"] = desk.after(desk.rules.waits.modulation_ms)
