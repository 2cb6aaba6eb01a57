"""Moderation and the guardian over a turn's texts (rules, section 1: what raises alignment_risk)."""

from endocrine.agents.conversation import application
from endocrine.agents.conversation.guardian import broken_rules, scores_of, verdict_of
from endocrine.agents.conversation.model_requests import ask_guardian, ask_moderation
from endocrine.agents.conversation.state import Judged, Turn
from endocrine.agents.conversation.turn_context import TurnContext
from endocrine.agents.moderation.local import Verdict, judge, judge_all, weigh
from endocrine.agents.moderation.rules import JudgedText
from endocrine.schemas.models import ModelReply


def flag(context: TurnContext, audit_id: str, turn: Turn, verdict: Verdict) -> None:
    """Report a flagged text as an incident; the turn goes on only under a modulation that knows of it."""
    context.incident("moderation", audit_id, turn, verdict.reason(), verdict.score)
    _require_risk(context, turn, verdict.score)


def judge_input(context: TurnContext, audit_id: str, turn: Turn) -> None:
    """Judge the user's prompt and the context, which may quote anybody."""
    given = turn.get("application")
    parts = (turn["prompt"], turn["context"], None if given is None else given["judged"])
    text = "\n".join(part for part in parts if part is not None)
    rules = context.policy.document.moderation
    long = application.messages_of(turn) is not None
    verdict = (judge_all if long else judge)(text, "input", context.preset(turn), rules)
    _input(context, audit_id, turn, verdict)
    if context.is_open(audit_id) and rules.provider == "remote":
        ask_moderation(context, audit_id, turn, "input", text)


def judge_answer(context: TurnContext, audit_id: str, turn: Turn, answer: str) -> None:
    """Judge the final text by the local rules; then ask those whose verdict comes as a record."""
    turn["answer"] = answer
    rules = context.policy.document.moderation
    _output(context, audit_id, turn, judge(answer, "output", context.preset(turn), rules))
    if not context.is_open(audit_id):
        return
    if application.windowed(turn):  # it has left by now: a veto needs the whole text first
        turn["phase"] = "judging"
        return
    names = broken_rules(answer, turn, context.policy)
    if names:
        veto(context, audit_id, turn, names)
        return
    turn["phase"] = "judging"
    if rules.provider == "remote":
        ask_moderation(context, audit_id, turn, "output", answer)
    if context.rules.guardian.provider == "model" and not ask_guardian(context, audit_id, turn):
        context.close(audit_id, turn, "budget_exceeded")


def take_verdict(context: TurnContext, audit_id: str, turn: Turn, reply: ModelReply, what: Judged) -> None:
    """Take in a verdict that was asked for. Content that is not a verdict withholds: it fails closed."""
    content = reply.content if reply.status == "ok" else None
    if what == "guardian":
        names = verdict_of(content)
        if names is None:
            _no_verdict(context, audit_id, turn)
        elif names:
            veto(context, audit_id, turn, names)
        return
    scores = scores_of(content)
    if scores is None:
        _no_verdict(context, audit_id, turn)
        return
    place: JudgedText = "input" if what == "input" else "output"
    verdict = weigh(scores, (), place, context.preset(turn), context.policy.document.moderation)
    (_input if what == "input" else _output)(context, audit_id, turn, verdict)


def veto(context: TurnContext, audit_id: str, turn: Turn, names: list[str]) -> None:
    """Ask once more, more strictly, under the revision that the veto calls for; the second veto withholds."""
    score = context.rules.guardian.score
    context.incident("guardian_veto", audit_id, turn, ", ".join(names), score)
    if application.observed(turn):
        turn["phase"] = "judging"
        return
    drop_verdicts(context, turn)
    if turn["strictly"]:
        context.close(audit_id, turn, "vetoed", ", ".join(names))
        return
    turn.update({"strictly": True, "again": True, "answer": None, "cut": False, "phase": "ready"})
    _require_risk(context, turn, score)


def drop_verdicts(context: TurnContext, turn: Turn) -> None:
    """Wait for no verdict any more: the answer they are about is gone. What they reserved of the budget is spent."""
    for verdict in turn["judges"].values():
        context.settle(verdict["held"], None)
    turn["judges"] = {}


def _input(context: TurnContext, audit_id: str, turn: Turn, verdict: Verdict) -> None:
    if verdict.flagged:
        flag(context, audit_id, turn, verdict)
    if verdict.blocked and not application.observed(turn):
        context.close(audit_id, turn, "input_blocked", ", ".join(verdict.scores))


def _output(context: TurnContext, audit_id: str, turn: Turn, verdict: Verdict) -> None:
    """A flagged answer that is not blocked goes out: the incident is what remains of it."""
    if verdict.flagged:
        context.incident("moderation", audit_id, turn, verdict.reason(), verdict.score)
    if verdict.blocked and not application.observed(turn):
        context.close(audit_id, turn, "output_blocked", ", ".join(verdict.scores))


def _no_verdict(context: TurnContext, audit_id: str, turn: Turn) -> None:
    if not application.observed(turn):
        context.close(audit_id, turn, "no_verdict")


def _require_risk(context: TurnContext, turn: Turn, risk: float) -> None:
    if application.observed(turn):
        return
    turn["need"] = max(risk, turn["need"] or 0.0)
    turn["until"] = context.after(context.rules.waits.modulation_ms)
