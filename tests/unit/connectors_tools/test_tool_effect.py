"""The executor on single decisions: what is run, what is not, what is said."""

import asyncio
import time

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endocrine.pipeline.connectors.contract import INTERRUPTED, EffectRecord
from endocrine.pipeline.connectors.tools.calls import MAX_SHARING, CallKey, Found, HeldCalls
from endocrine.pipeline.connectors.tools.check import Entry, repeated_results, unallowed_results, unanswered_calls
from endocrine.pipeline.connectors.tools.effect import call_name
from endocrine.pipeline.connectors.tools.handler import Answer, Degraded, ToolError
from endocrine.pipeline.connectors.tools.registry import handlers_of
from endocrine.pipeline.connectors.tools.results import shown
from endocrine.pipeline.connectors.tools.scheduler import Scheduler
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.views.metrics.registry import Metrics
from endocrine.schemas.tools import ToolCall
from policies import shipped_section
from properties import examples


class Probe:
    """A handler that notes what it was given."""

    def __init__(self, outcome=None):
        self.ran = []
        self.outcome = outcome

    async def run(self, call):
        self.ran.append(call)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        if callable(self.outcome):
            return await self.outcome()
        return self.outcome or Answer("done")

    async def close(self):
        pass


async def result_of(effect, request):
    said = await effect.run(request)
    value = orjson.loads(orjson.dumps(said[-1].value))
    assert said[-1].topic == "tool-results"
    CATALOGUE["tool-results"].validate(value)
    return value


async def test_an_allowed_call_is_run_with_its_own_arguments(make_effect, a_call, a_request):
    probe = Probe()
    effect, calls = make_effect({"retrieval": probe})
    call = a_call(arguments='{"query": "tides", "k": 3}')
    calls.add(call)
    value = await result_of(effect, a_request(call, "retrieval"))
    assert [(one.tool, one.arguments) for one in probe.ran] == [("retrieval", {"query": "tides", "k": 3})]
    assert (value["status"], value["output"], value["tool"]) == ("ok", "done", "retrieval")
    assert value["args_summary"] == '{"query":"tides","k":3}'
    assert value["ts"] >= call["ts"]


@pytest.mark.parametrize("decision", ["denied", "pending"])
def test_only_an_allowed_decision_asks_for_anything(make_effect, a_call, a_request, decision):
    effect, _ = make_effect({})
    assert effect.request_id(a_request(a_call(), "retrieval").value) == "turn/c1"
    assert effect.request_id(a_request(a_call(), "retrieval", decision=decision).value) is None
    assert effect.request_id(a_request(a_call(), None).value) is None


@pytest.mark.parametrize(("made_s_ago", "runs"), [(3600, False), (700, False), (300, True), (1, True)])
@pytest.mark.parametrize("waited_s", [0.0, 600.0])
async def test_a_sealed_decision_that_is_appended_again_with_its_call_runs_nothing(
    make_effect, a_call, a_request, made_s_ago, waited_s, runs
):
    probe = Probe()
    effect, calls = make_effect({"retrieval": probe})
    call = a_call()
    calls.add(call)
    origin = ("commands" if waited_s else "tool-calls", 0, int(time.time() - made_s_ago))
    value = await result_of(effect, a_request(call, "retrieval", origin=origin, ts=call["ts"] + waited_s))
    assert (len(probe.ran), value["status"]) == ((1, "ok") if runs else (0, "error"))


NOT_RUN = {
    "no call": (None, {}, {}),
    "late": ({}, {"age_s": 61.0}, {}),
    "another function": ({"tool": "open_url", "arguments": {"url": "http://example.org/"}}, {}, {}),
    "arguments of another kind": ({"arguments": {"query": 3}}, {}, {}),
    "arguments that are none": ({"arguments": "{"}, {}, {}),
    "surplus arguments": ({"arguments": {"query": "x", "__proto__": {}}}, {}, {}),
    "a repeated key": ({"arguments": '{"query": "x", "query": "y"}'}, {}, {}),
}


@pytest.mark.parametrize("case", NOT_RUN)
async def test_what_does_not_fit_is_not_run_although_it_was_allowed(make_effect, a_call, a_request, case):
    changes, request, _ = NOT_RUN[case]
    probe = Probe()
    effect, calls = make_effect({"retrieval": probe, "browser": probe})
    if changes is not None:
        calls.add(a_call(**changes))
    value = await result_of(effect, a_request(a_call(), "retrieval", **request))
    assert probe.ran == []
    assert value["status"] == "error"
    assert "not run" in value["output"]["error"]


async def test_of_several_records_under_one_id_the_one_runs_that_was_decided(make_effect, a_call, a_request):
    danger, harmless = a_call(arguments={"query": "DANGER"}), a_call(arguments={"query": "harmless"})
    elsewhere = a_call("web_search", {"query": "harmless"})
    for order in ((danger, harmless, elsewhere), (elsewhere, harmless, danger)):
        probe = Probe()
        effect, calls = make_effect({"retrieval": probe, "search": probe})
        for call in order:
            calls.add(call)
        assert (await result_of(effect, a_request(harmless, "retrieval")))["status"] == "ok"
        assert [(one.tool, one.arguments) for one in probe.ran] == [("retrieval", {"query": "harmless"})]


@pytest.mark.parametrize("digest", [None, "0" * 64])
async def test_a_decision_that_names_no_arguments_on_record_runs_nothing_and_is_counted(
    make_effect, a_call, a_request, digest
):
    probe, metrics = Probe(), Metrics([], ["retrieval"])
    effect, calls = make_effect({"retrieval": probe})
    effect._metrics = metrics
    calls.add(a_call())
    value = await result_of(effect, a_request(a_call(), "retrieval", arguments_digest=digest))
    assert (probe.ran, value["status"], value["args_summary"]) == ([], "error", "")
    assert "not run" in value["output"]["error"]
    assert metrics.registry.get_sample_value("endocrine_tool_calls_not_run_total", {"tool": "retrieval"}) == 1


def test_what_is_held_of_one_id_is_bounded_and_the_first_stays(a_call):
    held = HeldCalls(max_bytes=10_000)
    for number in range(1000):
        held.add(Found(ToolCall(**a_call(arguments={"query": str(number)})), "", 0.0), "ann", 100)
    keys = [CallKey.of_call(ToolCall(**a_call(arguments={"query": str(number)})), "ann") for number in range(1000)]
    assert [number for number, key in enumerate(keys) if held.get(key)] == list(range(MAX_SHARING))
    for number in range(1000):
        held.add(Found(ToolCall(**a_call(call_id=f"x{number}")), "", 0.0), "ann", 100)
    assert held.get(keys[0]) is None
    held.add(Found(ToolCall(**a_call()), "", 0.0), "ann", 100)
    assert held.get(CallKey.of_call(ToolCall(**a_call()), "ann")) is not None


async def test_a_decision_that_came_after_the_caller_gave_up_is_not_acted_upon(make_effect, a_call, a_request):
    probe = Probe()
    effect, calls = make_effect({"retrieval": probe})
    calls.add(a_call(), age_s=20.0)
    value = await result_of(effect, a_request(a_call(), "retrieval"))
    assert probe.ran == []
    assert "after it was asked" in value["output"]["error"]
    await effect.run(a_request(a_call(ts=1020.0), "retrieval"))  # an approval: the decision is of later event time
    assert len(probe.ran) == 1


async def test_a_call_of_another_identity_or_turn_is_not_taken_for_it(make_effect, a_call, a_request):
    probe = Probe()
    effect, calls = make_effect({"retrieval": probe})
    calls.add(a_call(identity="bob"))
    calls.add(a_call(audit_id="other"))
    await effect.run(a_request(a_call(), "retrieval"))
    assert probe.ran == []


async def test_a_flag_that_is_off_here_stops_a_call_that_was_allowed_elsewhere(
    make_effect, make_policy, a_call, a_request
):
    probe = Probe()
    effect, calls = make_effect({"browser": probe}, make_policy(flags={"BROWSER_TOOL": False}))
    call = a_call("open_url", {"url": "http://example.org/"})
    calls.add(call)
    value = await result_of(effect, a_request(call, "browser"))
    assert probe.ran == []
    assert "BROWSER_TOOL" in value["output"]["error"]


@pytest.mark.parametrize(
    ("function", "tool", "arguments"),
    [
        ("exec_code", "code_exec", {"language": "bash", "source": "id"}),
        ("web_search", "search", {"query": "x"}),
        ("open_url", "browser", {"url": "https://example.org/"}),
        ("retrieve_knowledge", "retrieval", {"query": "x"}),
    ],
)
async def test_as_shipped_nothing_reaches_the_world_even_with_every_flag_on(
    make_effect, make_policy, a_call, a_request, function, tool, arguments
):
    policy = make_policy(flags={"SEARCH_TOOL": True, "CODE_EXEC_TOOL": True, "BROWSER_TOOL": True})
    effect, calls = make_effect(handlers_of(ToolSettings(_env_file=None)), policy)
    call = a_call(function, arguments)
    calls.add(call)
    value = await result_of(effect, a_request(call, tool))
    assert value["status"] == "error"
    assert "disabled in this deployment" in value["output"]["error"]


async def test_a_tool_without_any_handler_answers_so(make_effect, a_call, a_request):
    effect, calls = make_effect({})
    calls.add(a_call())
    assert "nothing is configured" in (await result_of(effect, a_request(a_call(), "retrieval")))["output"]["error"]


async def test_failures_are_told_by_their_kind(make_effect, make_policy, a_call, a_request):
    async def slow():
        await asyncio.Event().wait()

    quick = make_policy(tools={"retrieval": {**shipped_section("tools")["retrieval"], "timeout_s": 0.01}})
    for outcome, status, told in (
        (ToolError("no luck"), "error", {"error": "no luck"}),
        (Degraded("resting"), "error", {"error": "resting", "degraded": True}),
        (TimeoutError(), "timeout", {"error": "the tool did not answer in time"}),
        (slow, "timeout", {"error": "the tool did not answer in time"}),
        (ValueError("password hunter2"), "error", {"error": "the tool failed (ValueError)"}),
    ):
        effect, calls = make_effect({"retrieval": Probe(outcome)}, quick)
        calls.add(a_call())
        value = await result_of(effect, a_request(a_call(), "retrieval"))
        assert (value["status"], value["output"]) == (status, told)


async def test_a_run_that_was_interrupted_is_told_and_the_text_of_a_fault_is_not(make_effect, a_call, a_request):
    effect, _ = make_effect({})
    (said,) = effect.failed(a_request(a_call(), "retrieval"), INTERRUPTED)
    assert said.value["output"] == {"error": INTERRUPTED}
    (said,) = effect.failed(a_request(a_call(), "retrieval"), "KeyError: 'hunter2'")
    assert said.value["output"] == {"error": "KeyError"}


def test_only_what_the_registry_calls_idempotent_may_run_twice(make_effect, a_call, a_request):
    effect, _ = make_effect({})
    assert effect.repeatable(a_request(a_call(), "retrieval").value)
    assert not effect.repeatable(a_request(a_call(), "code_exec").value)


async def test_a_scheduled_task_is_a_record_that_hangs_on_the_call_alone(make_effect, a_call, a_request):
    effect, calls = make_effect({"scheduler": Scheduler()})
    call = a_call("schedule_task", {"when": "noon", "note": "call Eve"})
    calls.add(call)
    first, _ = await effect.run(a_request(call, "scheduler"))
    again, _ = await effect.run(a_request(call, "scheduler", age_s=5.0))
    task = {"call_id": "c1", "audit_id": "turn", "identity": "ann", "when": "noon", "note": "call Eve", "ts": 1000.0}
    assert first == again == EffectRecord("scheduled-tasks", task)
    CATALOGUE["scheduled-tasks"].validate(task)
    long = a_call("schedule_task", {"when": "noon", "note": "x" * 2001}, call_id="c2")
    calls.add(long)
    assert (await result_of(effect, a_request(long, "scheduler")))["status"] == "error"


async def test_calls_of_others_are_left_to_them_where_settings_say_so(make_effect, a_call, a_request):
    probe = Probe()
    effect, calls = make_effect({"retrieval": probe}, calls="conversation")
    calls.add(a_call())
    assert await effect.run(a_request(a_call(), "retrieval")) == ()
    ours = a_call(call_id="c2")
    calls.add(ours, source="endocrine/conversation")
    assert (await result_of(effect, a_request(ours, "retrieval")))["status"] == "ok"
    assert len(probe.ran) == 1


async def test_outputs_and_arguments_are_shown_without_secrets(make_effect, a_call, a_request):
    output = {"api_key": "k-1", "deep": [{"Password": "p", "url": "http://x/?token=t-1&a=b"}], "text": "a"}
    effect, calls = make_effect({"retrieval": Probe(Answer(output))})
    call = a_call(arguments={"query": "http://x/?secret=s-1"})
    calls.add(call)
    text = orjson.dumps(await result_of(effect, a_request(call, "retrieval"))).decode()
    assert not [secret for secret in ("k-1", '"p"', "t-1", "s-1") if secret in text]


TEXT = st.text(st.characters(), max_size=200)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(TEXT, inner, max_size=8),
    max_leaves=30,
)


@settings(max_examples=examples(100))
@given(output=VALUES, chars=st.integers(100, 1000))
def test_an_output_is_bounded_and_can_be_written(rules, output, chars):
    written = orjson.dumps(shown(output, rules, chars)).decode()
    assert len(orjson.loads(written) if isinstance(output, str) else "") <= chars + len("[cut]")
    assert len(written.replace("\\u00", "")) <= 6 * chars + 2000


def test_a_long_text_is_cut_and_says_so(rules):
    assert shown("a" * 1000, rules, 100) == "a" * 100 + "[cut]"
    assert shown(["a" * 60, "b" * 60, "c"], rules, 100) == ["a" * 60, "b" * 36 + "[cut]", "[cut]"]
    assert len(orjson.dumps(shown({str(n): "x" * 50 for n in range(10_000)}, rules, 1000))) < 3000


def entry(timestamp, **value):
    return Entry(timestamp, {"audit_id": "t", "call_id": "c", "identity": "ann", "tool": "retrieval", **value})


def test_the_checker_finds_every_result_that_no_earlier_decision_allowed():
    allowed, result = entry(5, decision="allowed"), entry(5, status="ok")
    assert unallowed_results([allowed], [result, result]) == []
    assert "without an allowed" in unallowed_results([entry(5, decision="denied")], [result])[0]
    assert "without an allowed" in unallowed_results([entry(5, decision="allowed", audit_id="u")], [result])[0]
    assert "before" in unallowed_results([allowed], [entry(4)])[0]
    assert "where 'retrieval' was allowed" in unallowed_results([allowed], [entry(6, tool="browser")])[0]
    assert unallowed_results([allowed], [entry(6, identity="bob")]) != []
    assert repeated_results([result, result]) == []
    assert len(repeated_results([result, entry(6, status="error")])) == 1


def test_the_checker_finds_every_allowed_call_without_a_result():
    allowed, other = entry(5, decision="allowed"), entry(5, decision="allowed", audit_id="u")
    denied = entry(5, decision="denied", call_id="d")
    assert unanswered_calls([allowed, allowed, denied], [entry(6, status="error")]) == []
    assert unanswered_calls([allowed, other, other], [entry(6, status="ok")]) == [
        "turn 'u', call 'c': allowed, and no result"
    ]


def test_the_name_of_a_call_is_bounded_and_its_own():
    long = {"audit_id": "a" * 256, "call_id": "c" * 256}
    assert len(call_name(long)) == 64
    assert call_name({**long, "call_id": "d" * 256}) != call_name(long)


async def test_an_error_and_a_fault_say_no_secret_and_the_log_no_text(make_effect, a_call, a_request, capsys):
    secret = "s3cr3tCANARY99"
    for outcome in (ToolError(f"refused Bearer {secret}"), RuntimeError(f"with {secret} and the prompt PROMPTCANARY")):
        effect, calls = make_effect({"retrieval": Probe(outcome)})
        call = a_call(arguments={"query": f"-u ann:{secret}"})
        calls.add(call)
        value = await result_of(effect, a_request(call, "retrieval"))
        assert value["status"] == "error"
        assert secret not in str(value)
    captured = capsys.readouterr()
    assert secret not in captured.out + captured.err
    assert "PROMPTCANARY" not in captured.out + captured.err
    assert "RuntimeError" in captured.out + captured.err
