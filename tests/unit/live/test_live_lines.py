"""Plain lines, the folder's lock, and where a feed goes on."""

import pytest
from pydantic import SecretStr

from endocrine.pipeline.local.live.folder import FeedPosition, InUse, emptied, held
from endocrine.pipeline.local.live.status import Rate
from endocrine.pipeline.process.settings import Settings, environment
from endocrine.pipeline.views.describe import described


def test_every_kind_of_event_is_one_plain_line(make):
    lines = {
        "balanced: temperature 0.6": make.turn("t1"),
        "open_url: denied invalid_arguments": make.decision(decision="denied", reason="invalid_arguments"),
        "ann drift_lock": make.incident("drift_lock"),
        "LOCKED": make.style("eve", locked=True),
        "unknown -> stable": make.change("pace", "unknown", "stable"),
        "several actors suspected": make.suspicion("pace", "load"),
        "n1 0.0 -> 0.2": make.bond_event("n1 0.0 -> 0.2"),
        "feedback ann: malformed: rating": make.dead(),
    }
    for said, event in lines.items():
        assert said in described(event)


def test_a_record_that_only_repeats_a_state_is_no_line(make):
    assert described(make.bond("ann")) is None
    assert described(make.state("pace", "stable")) is None
    assert described(make.gone("style-tables", "ann")) is None


def test_a_name_with_control_characters_cannot_make_a_second_line(make):
    line = described(make.style("eve\r\n\x1b[2Jroot"))
    assert line.isprintable()


def test_a_second_run_in_one_folder_is_refused_and_names_the_first(tmp_path):
    first, second = (held(tmp_path / "run.lock", tmp_path, "run") for _ in range(2))
    with first, pytest.raises(InUse, match=r"process \d+.*ENDOCRINE_DATA_DIR"):
        second.__enter__()
    with held(tmp_path / "run.lock", tmp_path, "run"):
        pass  # free again


def test_a_demo_begins_with_an_empty_folder(tmp_path):
    folder = tmp_path / "demo"
    (folder / "broker").mkdir(parents=True)
    (folder / "broker" / "old").write_text("x")
    emptied(folder)
    assert list(folder.iterdir()) == []


def test_the_feed_goes_on_where_it_was_per_broker(tmp_path):
    FeedPosition(tmp_path, "local").write(244, 5.5)
    FeedPosition(tmp_path, "127.0.0.1:9092 endocrine.").write(3, 6.5)
    assert FeedPosition(tmp_path, "local").read() == 244
    assert FeedPosition(tmp_path, "local").began() == 5.5
    assert FeedPosition(tmp_path, "other").read() == 0


@pytest.mark.parametrize("content", ["", "[]", "{", '{"local": "x"}', '{"local": -1}'])
def test_a_damaged_place_begins_the_story_again(tmp_path, content):
    (tmp_path / "feed.json").write_text(content)
    place = FeedPosition(tmp_path, "local")
    assert place.read() == 0
    place.write(1, 7.5)
    assert place.read() == 1


def test_the_rate_is_over_the_last_seconds_only():
    rate = Rate()
    assert rate.at(0.0, 0) == 0.0
    for second in range(1, 11):
        found = rate.at(float(second), 4 * second)
    assert found == 4.0
    for second in range(11, 30):
        found = rate.at(float(second), 40)
    assert found == 0.0


def test_the_worker_gets_the_very_settings_of_the_run(tmp_path, monkeypatch):
    mine = Settings(bootstrap="127.0.0.1:1", data_dir=tmp_path, prefix="p.", partitions=7, commit_interval_s=0.5,
                    kafka_security="SASL_SSL", kafka_user="w", kafka_password=SecretStr("p4"))  # fmt: skip
    for name, value in environment(mine).items():
        monkeypatch.setenv(name, value)
    assert Settings() == mine
