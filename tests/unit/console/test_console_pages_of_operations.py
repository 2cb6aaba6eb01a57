"""What pages of operations show, made from values: rates, spend, workers, results in sentences, ages, commands."""

import json
import shlex
import time
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endocrine.pipeline.console.operations import PROJECTION
from endocrine.pipeline.console.reports import chains, sentences, verified, what_if
from endocrine.pipeline.console.screens.overview import allowed, per_minute, spenders, workers_of
from endocrine.pipeline.console.screens.replays import SHOWN, _detail
from endocrine.pipeline.console.screens.turn import feedback_command, parameters_of
from endocrine.pipeline.console.vault import ages_of_keys, snapshots_in, verified_at
from endocrine.pipeline.gateway.keys import Key, create, revoke
from endocrine.pipeline.gateway.settings import GatewaySettings
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.seal_keys import make_key_file
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.replay.report import Report
from endocrine.pipeline.replay.state_files import write_manifest
from endocrine.pipeline.views.metrics.textfile import write_verified
from endocrine.pipeline.views.redis.views import RecentTurn
from endocrine.pipeline.views.status.report import Member

LEVELS = (("alignment_risk", 0.6), ("novelty", 0.9))


def test_the_chart_has_turns_a_minute_whatever_its_step():
    turns = [RecentTurn(at, mode) for at, mode in ((900, "strict"), (1000, "strict"), (1800, None), (2, "x"))]
    assert per_minute(turns, 900, 2700, 900) == {
        "times": [900, 1800],
        "series": [
            {"label": "None", "values": [0, round(1 / 15, 2)]},
            {"label": "strict", "values": [round(2 / 15, 2), 0]},
            {"label": "x", "values": [0, 0]},
        ],
    }


def test_the_share_of_who_spent_is_of_what_the_budget_allows_in_the_time_shown():
    budget = shipped_policy().document.budget.model_copy(update={"limit": 100, "window_s": 86_400})
    assert [allowed(budget, span) for span in (3600, 86_400, 604_800)] == [100, 100, 700]
    assert spenders([("b", 1400), ("a", 350)], 700) == [
        {"identity": "b", "tokens": 1400, "share": 200.0},
        {"identity": "a", "tokens": 350, "share": 50.0},
    ]


def test_members_are_shown_by_what_they_do():
    members = {"g": [Member("w", "h", [0, 1])], "g.decide": [Member("d", "h", [])], "g.model": [Member("m", "h", [2])],
               f"g{PROJECTION}": [Member("p", "h", [0])], "g.tools": []}  # fmt: skip
    found = [(one["name"], one["part"], one["role"], one["partitions"]) for one in workers_of("g", members)]
    assert found == [("w", "worker", "all", "0, 1"), ("d", "worker", "decide", "none"),
                     ("m", "model connector", "–", "2"), ("p", "projection", "–", "0")]  # fmt: skip


def test_a_proof_says_first_what_was_proved():
    report = Report(batches=2, compared=3, equal=3, seals_checked=5)
    assert verified(report.plain()) == [
        "Proved: 3 derived records follow byte for byte from their inputs; 2 batches were run again.",
        "5 seals checked.",
    ]
    assert verified(Report().plain())[0].startswith("Nothing to verify")
    report.find("wrong", "x")
    report.not_verifiable["no policy"] += 2
    first, *rest = verified(report.plain())
    assert first.startswith("NOT proved: wrong 1, not verifiable 2; 3 derived records compared")
    assert "Not verifiable: 2 records: no policy." in rest


def test_chains_and_what_if_say_first_what_was_found():
    sound = {"sound": True, "records": 2, "chains": 1, "checkpoints": 0, "first": None}
    assert chains(sound)[0] == "Sound as far as it was checked: 2 records in 1 chain."
    first = {"topic": "audits", "partition": 0, "offset": 7, "told": "was changed"}
    assert chains(sound | {"sound": False, "first": first})[0].startswith("BROKEN")
    assert "audits/0 at 7: was changed" in chains(sound | {"sound": False, "first": first})[0]
    assert chains(sound | {"records": 0})[0].startswith("Nothing to verify")
    assert what_if({"sentences": ["2 calls decided otherwise."], "policy": "a" * 64})[0] == "2 calls decided otherwise."


def test_a_task_that_failed_says_why_and_one_that_runs_says_nothing():
    assert sentences(SimpleNamespace(error="no broker", report=None, kind="verify")) == ["no broker"]
    assert sentences(SimpleNamespace(error=None, report=None, kind="verify")) == []


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_the_command_that_rates_a_turn_is_one_command_whatever_the_names_hold(identity, audit_id):
    command = feedback_command("http://h:1/", identity, audit_id)
    words = shlex.split(command)
    assert command.isascii()
    assert json.loads(words[words.index("-d") + 1]) == {
        "identity": identity,
        "target_action_id": audit_id,
        "rating": 5,
    }
    assert words[-1] == "http://h:1/v1/feedback"


def test_parameters_have_bounds_a_share_and_their_lineage():
    steps = [
        {"step": "default", "by": "defaults", "from": None, "to": 0.6, "expression": None},
        {"step": "map", "by": "novelty", "from": 0.6, "to": 1.0, "expression": "x"},
        {"step": "guard", "by": "alignment_risk", "from": 1.0, "to": 0.49, "expression": None},
    ]
    signals = [
        {"name": "alignment_risk", "level": 0.6, "fate": "used"},
        {"name": "novelty", "level": 0.9, "fate": "used"},
    ]
    bundle = {"parameters": {"temperature": 0.49, "tool_allowlist": ["a", "b"]}, "lineage": {"temperature": steps}}
    temperature, tools = parameters_of(bundle | {"signals": signals}, None)
    assert (temperature["least"], temperature["most"], temperature["share"]) == (0, 1, 49.0)
    assert temperature["summary"] == "0.49: novelty 0.9 wanted 1, guard alignment_risk 0.6"
    assert [step["expression"] for step in temperature["steps"]] == [None, "x", None]
    assert (tools["share"], tools["summary"]) == (None, None)


def test_ages_are_those_of_files_and_keys_and_hold_no_secret(tmp_path):
    settings, limits, now = Settings(data_dir=tmp_path), GatewaySettings(), time.time()
    gateway = SimpleNamespace(settings=settings, limits=limits)
    assert ages_of_keys(gateway, now) == []
    make_key_file(tmp_path / "seal.keys")
    secret = create(tmp_path / "gateway.keys", Key(name="ci", sha256="0" * 64, scopes=["read"]))
    found = ages_of_keys(gateway, now + 400 * 86_400)
    assert [(age.kind, age.status, round(age.days)) for age in found] == [
        ("seal keys", "warn", 400),
        ("API key", "warn", 400),
    ]
    assert {age.status for age in ages_of_keys(gateway, now)} == {"ok"}
    create(tmp_path / "gateway.keys", Key(name="old", sha256="0" * 64, scopes=["read"]))
    revoke(tmp_path / "gateway.keys", "old")
    assert [age.name for age in ages_of_keys(gateway, now)][1:] == ["ci"]
    shown = repr(found)
    assert secret not in shown
    assert (tmp_path / "seal.keys").read_text().split(":")[-1].strip() not in shown
    (tmp_path / "seal.keys").write_text("no key")
    assert ages_of_keys(gateway, now)[0].status == "fail"


def test_when_chains_were_sound_comes_from_the_file_of_the_command(tmp_path):
    file = tmp_path / "chains.prom"
    assert verified_at(file) is None
    write_verified(file, 1_790_000_000.5)
    assert verified_at(file) == 1_790_000_000.5
    file.write_text("something else")
    assert verified_at(file) is None


def test_snapshots_are_listed_newest_first_and_a_changed_one_is_named(tmp_path):
    for name, at in (("old", 1.0), ("new", 2.0), ("bad", 3.0)):
        (tmp_path / name).mkdir()
        write_manifest(tmp_path / name, {"taken_at": at, "units": {}})
    (tmp_path / "bad" / "manifest.json").write_bytes(orjson.dumps({"taken_at": 9}))
    (tmp_path / "none").mkdir()
    found = snapshots_in(tmp_path)
    assert [(one.name, one.taken_at) for one in found] == [("new", 2.0), ("old", 1.0), ("bad", None)]
    assert "was changed" in found[2].wrong
    assert str(tmp_path) not in found[2].wrong
    assert snapshots_in(None) == snapshots_in(tmp_path / "nowhere") == []


@pytest.mark.parametrize("mode", ["strict", "balanced", "creative"])
def test_every_mode_has_its_meaning(mode):
    from endocrine.pipeline.console.templates import MODES

    assert MODES[mode]


def test_values_of_records_are_shown_with_the_scope_content_alone_and_tables_are_bounded():
    report = Report(batches=1, compared=1)
    for number in range(SHOWN + 5):
        report.find("wrong", f"record {number}")
        report.differ({"topic": "modulations", "partition": 0, "offset": number, "id": "x"}, [{"path": "$.note"}])
    task = SimpleNamespace(kind="verify", report=report.plain())
    whole, without = _detail(task, whole=True), _detail(task, whole=False)
    assert (len(whole["differences"]), whole["hidden"]) == (SHOWN, 0)
    assert (without["differences"], without["hidden"]) == ([], SHOWN + 5)
    assert without["findings"] == whole["findings"] == [f"wrong: record {number}" for number in range(SHOWN)]


def test_changes_of_a_what_if_are_bounded_and_the_rest_is_counted():
    found = {"topics": {"b": {}, "a": {}}, "fields": {"a": {"$.x": 3}}, "changes": [{}] * (SHOWN + 7)}
    detail = _detail(SimpleNamespace(kind="what-if", report=found), whole=False)
    assert (len(detail["changes"]), detail["more"]) == (SHOWN, 7)
    assert ([name for name, _ in detail["topics"]], detail["fields"]) == (["a", "b"], [("a", "$.x", 3)])
    assert _detail(SimpleNamespace(kind="what-if", report=None), whole=False)["changes"] == []
