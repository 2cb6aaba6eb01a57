"""What a bundle holds, field by field."""

import pytest

from endocrine.agents._shared.prompt_keys import fingerprint
from endocrine.agents.audit.narrative import FATES, REASONS
from endocrine.schemas.vocabulary import Fate, Reason


def whole(ear, records, *facts, **sections):
    [bundle] = ear(**sections).feed(records.opened(), records.modulation(), *facts, records.closed())
    return bundle


@pytest.mark.parametrize("fate", Fate.__args__)
def test_a_signal_keeps_its_source_and_its_fate(ear, records, fate):
    signal = {"name": "stress", "level": 0.5, "source": "probe", "ts": 99.0, "fate": fate}
    [bundle] = ear().feed(records.opened(), records.modulation(signals=[signal]), records.closed())
    assert bundle["signals"] == [{**signal, "revision": 0}]
    words = "It was shaped by stress 0.5" if fate == "used" else f"stress 0.5 {FATES[fate]}"
    assert words in bundle["explanation"]


@pytest.mark.parametrize("reason", [reason for reason in Reason.__args__ if reason != "awaiting_approval"])
def test_a_denied_call_is_listed_with_its_reason(ear, records, reason):
    bundle = whole(ear, records, records.call(), records.decision(decision="denied", reason=reason))
    assert bundle["tools"] == []
    assert bundle["blocked"] == [
        {
            "call_id": "c1",
            "function": "open_url",
            "tool": "browser",
            "step": 1,
            "reason": reason,
            "incident_id": None,
            "executed": None,
            "args_summary": '{"url":"u"}',
            "ts": 101.0,
        }
    ]
    assert f"open_url, because {REASONS[reason]}" in bundle["explanation"]


@pytest.mark.parametrize("status", ["ok", "error", "timeout"])
def test_a_used_tool_has_its_status_and_its_duration(ear, records, status):
    bundle = whole(ear, records, records.call(), records.decision(), records.result(status=status))
    [used] = bundle["tools"]
    assert (used["tool"], used["decision"], used["status"], used["duration_ms"]) == ("browser", "allowed", status, 12.5)
    assert used["args_summary"] == "url=u"
    assert f"browser ({status} in 12.5 ms)" in bundle["explanation"]


def test_a_result_of_a_denied_call_is_told_as_what_must_not_be(ear, records):
    denied = records.decision(decision="denied", reason="disabled_by_flag")
    bundle = whole(ear, records, records.call(), denied, records.result())
    assert bundle["blocked"][0]["executed"] == "ok"
    assert "Yet a result came for c1, which must not be." in bundle["explanation"]


def test_moderation_verdicts_stand_apart_from_other_incidents(ear, records):
    bundle = whole(
        ear,
        records,
        records.incident("i3", kind="guardian_veto", reason="veto"),
        records.incident("i2", kind="moderation", reason="self-harm 0.7"),
        records.incident("i1"),
    )
    assert [one["incident_id"] for one in bundle["incidents"]] == ["i1"]
    assert [(one["kind"], one["reason"]) for one in bundle["moderation"]] == [
        ("moderation", "self-harm 0.7"),
        ("guardian_veto", "veto"),
    ]


def test_each_step_of_a_lineage_has_the_expression_of_its_map(ear, records, policy):
    steps = [
        {"step": "default", "by": "defaults", "from": None, "to": 0.6},
        {"step": "guard", "by": "stress", "from": 0.6, "to": 0.4},
    ]
    given = records.modulation(lineage={"temperature": steps})
    [bundle] = ear().feed(records.opened(), given, records.closed())
    expression = policy().document.maps["stress"]["temperature"].expression
    assert bundle["lineage"]["temperature"] == [
        {**steps[0], "expression": None},
        {**steps[1], "expression": expression},
    ]

    under_another = records.modulation(lineage={"temperature": steps}, policy="b" * 64)
    [bundle] = ear().feed(records.opened(), under_another, records.closed())
    assert [step["expression"] for step in bundle["lineage"]["temperature"]] == [None, None]
    assert bundle["policies"] == ["b" * 64]


def test_a_revision_says_what_it_changed_and_a_carried_parameter_keeps_its_lineage(ear, records):
    tightened = {
        "temperature": [{"step": "carry", "by": "revision 0", "from": None, "to": 0.6}],
        "safety_mode": [
            {"step": "carry", "by": "revision 0", "from": None, "to": "balanced"},
            {"step": "tighten", "by": "i1", "from": "balanced", "to": "strict"},
        ],
    }
    strict = {"safety_mode": "strict", "tool_allowlist": ["retrieval"]}
    bundle = whole(ear, records, records.modulation(revision=1, ts=101.0, parameters=strict, lineage=tightened))
    assert [revision["changed"] for revision in bundle["revisions"]] == [
        {},
        {
            "safety_mode": {"from": "balanced", "to": "strict"},
            "tool_allowlist": {"from": ["retrieval", "browser"], "to": ["retrieval"]},
        },
    ]
    assert [step["step"] for step in bundle["lineage"]["temperature"]] == ["default"]
    assert [step["step"] for step in bundle["lineage"]["safety_mode"]] == ["default", "tighten"]
    assert (bundle["mode"], bundle["allowlist"]) == ("strict", ["retrieval"])
    assert "a blocked tool call made the turn strict" in bundle["explanation"]


def test_a_revision_whose_forerunner_was_not_seen_does_not_guess_what_changed(ear, records):
    bundle = whole(ear, records, records.modulation(revision=2, ts=101.0, parameters={"temperature": 0.1}))
    assert bundle["revisions"][1]["changed"] is None


def test_models_budget_and_dropped_parameters(ear, records):
    bundle = whole(
        ear,
        records,
        records.request(),
        records.reply(),
        records.request("r2", step=2, dropped=["temperature", "top_p"]),
        records.reply("r2", step=2, status="error", usage=None, error='bad request: "Where does xylophone-prompt"'),
    )
    first, second = bundle["models"]
    assert (first["model"], first["status"], first["latency_ms"]) == ("gpt-4o-mini-2", "ok", 400.0)
    assert first["parameters"] == {"temperature": 0.6, "reasoning_effort": "low"}
    assert (second["status"], second["error"]) == ("error", "bad request")
    assert bundle["dropped"] == ["temperature", "top_p"]
    spent = {"input_tokens": 30, "output_tokens": 12}
    assert bundle["budget"] == {"max_output_tokens": 900, "replies": spent, "closed": None}


def test_the_usage_said_on_closing_stands_beside_that_of_the_replies(ear, records):
    usage = {"input_tokens": 7, "output_tokens": 9}
    [bundle] = ear().feed(records.opened(), records.modulation(), records.closed(usage=usage))
    assert bundle["budget"]["closed"] == usage
    assert "It took 7 tokens in and 9 out." in bundle["explanation"]


def test_a_bundle_names_the_records_it_is_made_of(ear, records):
    bundle = whole(ear, records, records.call(), records.decision(), records.result())
    assert bundle["records"] == {
        "interactions": ["t1-opened", "t1-closed"],
        "modulations": ["t1-modulation-0"],
        "tool-calls": ["c1-call"],
        "tool-decisions": ["c1-decision-None"],
        "tool-results": ["c1-result"],
    }


def test_lists_are_in_the_order_of_time_and_name_whatever_came_first(ear, records):
    bundle = whole(
        ear,
        records,
        records.request("r2", step=2, ts=105.0),
        records.reply("r2", step=2, ts=106.0),
        records.call("c2", ts=108.0),
        records.modulation(revision=1, ts=107.0, policy="b" * 64),
        records.request("r1"),
        records.reply("r1"),
        records.call("c1"),
        records.decision("c2", policy="a" * 64, decision="denied", reason="step_limit"),
        records.decision("c1", decision="denied", reason="step_limit"),
    )
    assert [call["request_id"] for call in bundle["models"]] == ["r1", "r2"]
    assert [call["call_id"] for call in bundle["blocked"]] == ["c1", "c2"]
    assert bundle["policies"] == sorted(bundle["policies"])
    assert len(bundle["policies"]) == 3


def test_the_time_of_a_bundle_is_the_latest_of_its_records(ear, records):
    listener = ear()
    listener.feed(records.opened(), records.modulation(), records.call(), records.decision(), records.closed())
    [bundle] = listener.feed(records.result(ts=102.0))
    assert bundle["ts"] == 110.0


@pytest.mark.parametrize("word", ["my secret words", "secret_words_without_end", "a:b"])
def test_a_parameter_that_may_hold_words_of_the_user_is_not_shown(ear, records, word):
    request = records.request(parameters={"tool_choice": word, "n": 1})
    assert whole(ear, records, request, records.reply())["models"][0]["parameters"] == {"n": 1}


def test_the_prompt_is_shown_only_where_the_policy_says_so(ear, records):
    opened = records.opened(prompt="Where is token=abc123 kept?")
    [bundle] = ear().feed(opened, records.modulation(), records.closed())
    assert (bundle["opened"]["prompt"], bundle["opened"]["prompt_chars"]) == (None, 27)
    [bundle] = ear(audit={"include_prompt": True, "prompt_chars": 24}).feed(
        opened, records.modulation(), records.closed()
    )
    assert bundle["opened"]["prompt"] == "Where is token=[redacted"


def test_the_keyed_hash_of_the_prompt_is_that_of_the_incidents(ear, records):
    hashes = [
        whole(ear, records, gating={"prompt_hmac_key_id": name}, prompt_keys=keys)["opened"]["prompt_hmac"]
        for name, keys in ((fingerprint(key), {fingerprint(key): key}) for key in (b"k" * 32, b"l" * 32))
    ]
    assert [len(one) for one in hashes] == [64, 64]
    assert hashes[0] != hashes[1]


def test_arguments_are_left_out_where_the_policy_says_so(ear, records):
    facts = (records.call(), records.decision(), records.result())
    bundle = whole(ear, records, *facts, audit={"include_arguments": False})
    assert bundle["tools"][0]["args_summary"] is None


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("calls", lambda r: [r.call("c1"), r.call("c2"), r.decision("c1", decision="denied", reason="step_limit")]),
        ("incidents", lambda r: [r.incident("i1"), r.incident("i2")]),
        ("requests", lambda r: [r.request("r1"), r.reply("r1"), r.request("r2")]),
        ("revisions", lambda r: [r.modulation(revision=1)]),
        ("policies", lambda r: [r.modulation(revision=1, policy="b" * 64)]),
        ("records", lambda r: [r.modulation(revision=1)]),
        (
            "signals",
            lambda r: [
                r.modulation(
                    revision=1,
                    signals=[
                        {"name": "stress", "level": level, "source": "p", "ts": 1.0, "fate": "used"}
                        for level in (0.1, 0.2)
                    ],
                )
            ],
        ),
    ],
)
def test_what_does_not_fit_is_counted(ear, records, kind, facts):
    bundle = whole(ear, records, *facts(records), audit={kind: 1})
    assert bundle["omitted"][kind] >= 1
    assert f"{bundle['omitted'][kind]} {kind}" in bundle["explanation"]
