"""The page of the policy without a broker: a draft's mistakes at their lines, actions, what is shown."""

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from endocrine.agents.policy.canary import canary_policy
from endocrine.agents.policy.digest import canonical_digest
from endocrine.pipeline.console.links import Links
from endocrine.pipeline.console.screens import policy as screen
from endocrine.pipeline.console.templates import rendered
from endocrine.pipeline.core.rollouts import Rollouts
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.data.policy_drafts import checked
from endocrine.pipeline.gateway.problems import Problem
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.schemas.rollouts import PolicyRollout
from policies import policy_over

HOSTILE = '<img src=x onerror="alert(1)">{{7*7}}'
COOLER = policy_over({"defaults": {"temperature": 0.1}})


class Desk:
    """A console whose gateway follows these rollouts, and a visitor who may operate, or not."""

    def __init__(self, *entries: PolicyRollout, policy: Any = None, may: bool = True) -> None:
        rollouts = Rollouts(simulated_seals())
        rollouts.entries.extend(entries)
        follower = SimpleNamespace(rollouts=rollouts, refused=None, base=shipped_policy())
        self.gateway = SimpleNamespace(policy=policy or shipped_policy(), follower=follower, settings=None)
        self.visitor = SimpleNamespace(may=lambda scope: may, caller=SimpleNamespace(name="op", keyed=False))

    def page(self, request: Any, visitor: Any, template: str, **data: Any) -> str:
        about = {"token": "t", "navigation": (), "links": Links("", []), "here": "", "query": {}, "version": "1"}
        return rendered(template, visitor=self.visitor, **about, **data).decode()

    async def get(self, **query: str) -> Any:
        text = "&".join(f"{name}={value}" for name, value in query.items()).encode()
        request = Request({"type": "http", "query_string": text, "headers": []})
        return await screen.policy(self, request, self.visitor)  # type: ignore[arg-type]

    async def post(self, monkeypatch: pytest.MonkeyPatch, **form: str) -> Any:
        async def given(request: Any) -> dict[str, str]:
            return form

        monkeypatch.setattr(screen, "form_of", given)
        return await screen.act(self, None, self.visitor)  # type: ignore[arg-type]


def entry(number: int, policy: Any, kind: str = "publish", **more: Any) -> PolicyRollout:
    about = {
        "previous": None,
        "share": None,
        "candidate": None,
        "restores": None,
        "reason": None,
        "by": "op",
        "ts": 1.0,
    }
    document = None if policy is None else dict(policy.resolved)
    digest = None if document is None else canonical_digest(document)
    return PolicyRollout.model_validate(
        {"number": number, "kind": kind, "digest": digest, "policy": document, **about, **more}
    )


def test_the_mistakes_of_a_draft_are_named_at_their_lines_of_the_draft() -> None:
    policy, mistakes = checked("flags:\n  A: true\nmaps: {stress: {temperature: y}}\n")
    assert policy is None
    assert [mistake.split(": ")[0] for mistake in mistakes] == ["draft:2", "draft:3"]


def test_a_draft_that_loosens_safety_as_risk_rises_is_a_mistake() -> None:
    rule = "{expression: 0.1 + 0.5 * x, combine: tightest}"
    policy, mistakes = checked(f"maps:\n  alignment_risk:\n    temperature: {rule}\n")
    assert policy is None
    assert "loosens" in " ".join(mistakes)


async def test_with_nothing_published_the_page_says_so_and_offers_no_rollback() -> None:
    page = await Desk().get()
    assert "Nothing is published" in page
    assert "Roll back" not in page
    assert "No rollout was made." in page


async def test_what_is_in_force_is_shown_with_who_published_it_and_a_reason_is_text() -> None:
    page = await Desk(entry(1, COOLER, by=HOSTILE, reason=HOSTILE), policy=COOLER).get()
    assert COOLER.digest in page
    assert "rollout 1" in page
    assert "<img" not in page
    assert "49" not in page.partition("In force since")[2].partition("Workers")[0]


async def test_a_canary_is_shown_with_its_share_and_may_be_promoted() -> None:
    both = canary_policy(shipped_policy(), COOLER, 0.05)
    page = await Desk(entry(1, both, "canary", share=0.05, candidate=COOLER.digest), policy=both).get()
    assert "5.00 % of identities" in page
    assert "Promote the canary" in page


async def test_a_rollout_shows_in_which_values_it_differs_from_the_one_before() -> None:
    desk = Desk(entry(1, COOLER), entry(2, None, "rollback", restores=0))
    before = shipped_policy().document.defaults.temperature
    assert f"defaults.temperature: {before} -&gt; 0.1" in await desk.get(rollout="1")
    assert f"defaults.temperature: 0.1 -&gt; {before}" in await desk.get(rollout="2")
    with pytest.raises(Problem, match="no rollout"):
        await desk.get(rollout="7")


async def test_who_may_not_operate_sees_no_action() -> None:
    page = await Desk(entry(1, COOLER), may=False).get()
    assert "<form method" not in page


async def test_a_checked_draft_shows_what_differs_and_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    page = await Desk().post(monkeypatch, action="check", draft="defaults: {temperature: 0.1}\n")
    assert "defaults.temperature" in page
    assert COOLER.digest in page


@pytest.mark.parametrize("action", ["publish", "canary", "what-if", "check"])
async def test_a_draft_with_a_mistake_is_shown_again_and_nothing_is_done(
    action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await Desk().post(monkeypatch, action=action, draft=f"colour: '{HOSTILE}'\n", share="5", hours="1")
    assert "1 mistake: nothing was done" in page
    assert "draft:1" in page
    assert "<img" not in page


@pytest.mark.parametrize("share", ["", "0", "100", "-1", "nan", "x"])
async def test_a_share_that_is_no_share_is_refused(share: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match="share"):
        await Desk().post(monkeypatch, action="canary", draft="defaults: {temperature: 0.1}\n", share=share)


async def test_an_unknown_action_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match="expected check"):
        await Desk().post(monkeypatch, action="discard")


async def test_a_what_if_of_a_draft_is_a_replay_like_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def start(kind: str, arguments: list[str], **about: Any) -> Any:
        asked.append((kind, arguments[:2], about["policy"], about["by"]))
        return SimpleNamespace(id="r1", about=about["about"])

    desk, draft = Desk(), "defaults: {temperature: 0.1}\n"
    desk.operations = SimpleNamespace(tasks=SimpleNamespace(start=start))
    page = await desk.post(monkeypatch, action="what-if", draft=draft, hours="24")
    assert asked == [("what-if", ["replay", "what-if"], draft.encode(), "op")]
    assert "the draft over the last 24 hours" in page
    assert 'href="/console/replays/r1"' in page
    assert "temperature: 0.1" in page  # the draft is kept
    with pytest.raises(Problem, match="hours"):
        await desk.post(monkeypatch, action="what-if", draft=draft, hours="2")
