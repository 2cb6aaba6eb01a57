"""Files and flags: every mistake with file and line."""

from pathlib import Path

import pytest

from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy, shipped_policy

GOOD = """
signals:
  - {name: stress, weight: 0.8, cooldown_ms: 900}
maps:
  alignment_risk:
    temperature: 1 - 0.85x
    tool_allowlist: "[retrieval] if x > 0.7 else [retrieval, browser]"
  urgency: {tool_allowlist: [retrieval], retrieval_k: 4}
defaults: {temperature: 0.5}
"""


def test_a_good_file_is_laid_over_the_shipped_policy(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    policy = load_policy(path)
    assert policy.document.defaults.temperature == 0.5
    assert policy.document.defaults.top_p == 0.9
    assert policy.document.maps["urgency"]["tool_allowlist"].expression == "[retrieval]"
    assert policy.digest != shipped_policy().digest


def test_no_file_and_no_flags_is_the_shipped_policy():
    assert load_policy(None, {"PATH": "/bin"}) is shipped_policy()


def test_each_mistake_is_one_line_with_file_line_place_text_and_what_was_expected(file_mistakes):
    found = file_mistakes("maps:\n  stress:\n    temperature: x.real\n    top_p: 2 **\nflags:\n  NOPE: true\n")
    assert [mistake.split(" ")[0] for mistake in found] == ["mine.yaml:6:", "mine.yaml:3:", "mine.yaml:4:"]
    assert found[1].startswith(
        "mine.yaml:3: maps.stress.temperature: 'x.real': attribute access is not allowed, expected "
    )
    assert all("\n" not in mistake for mistake in found)


def test_an_entry_of_the_list_of_signals_is_found_by_its_line(file_mistakes):
    (found,) = file_mistakes("signals:\n  - {name: trust, weight: 0.1}\n  - name: stress\n    weight: heavy\n")
    assert found.startswith("mine.yaml:4: signals.stress.weight: 'heavy': ")


def test_a_contradiction_with_the_shipped_policy_names_the_shipped_line(file_mistakes):
    (found,) = file_mistakes("bounds:\n  temperature: [0.7, 1]\n")
    assert found.startswith("config/policy.yaml:")
    assert "defaults.temperature: '0.6': outside bounds.temperature [0.7, 1.0]" in found


def test_a_key_that_stands_twice_is_refused(file_mistakes):
    (found,) = file_mistakes("maps:\n  urgency:\n    top_p: 0.5\n  urgency:\n    top_p: 0.6\n")
    assert found.startswith("mine.yaml:4: maps.urgency: 'urgency': the key is on line 2 already")


def test_a_missing_space_after_a_colon_is_pointed_out(file_mistakes):
    assert "a space after each colon" in file_mistakes("defaults:\n  temperature:0.6\n")[0]
    assert "a space after it" in file_mistakes("flags: {BROWSER_TOOL:true}\n")[0]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "mine.yaml:1: the file is empty"),
        ("# nothing\n", "mine.yaml:1: the file is empty"),
        ("- maps\n", "mine.yaml:1: \"['maps']\": not a mapping"),
        ("maps\n", "mine.yaml:1: 'maps': not a mapping"),
        ("a: [1\n", "mine.yaml:2: policy: "),
        ("maps: {}\n\tx: 1\n", "mine.yaml:2: "),
        ("maps:\n  urgency:\n    tool_allowlist: [retrieval] if x > 1 else [browser]\n", "mine.yaml:3: "),
        ("a: &a [1]\nb: *a\n", "mine.yaml:2: "),
        ("a: 1\n---\nb: 2\n", "mine.yaml:2: "),
        ("defaults: {temperature: 2024-01-01}\n", "mine.yaml:1: defaults.temperature: '2024-01-01': a timestamp"),
        ("flags: {yes: 1}\n", "mine.yaml:1: flags: 'yes': the key is no text"),
        ("a: !!python/object:os.system 1\n", "mine.yaml:1: a: "),
        ("[" * 5000, "mine.yaml:1: policy: '': nested too deeply"),
        (b"\x00\x01\xfe\xff", "mine.yaml:1: byte 2 is no UTF-8 text"),
        (b"PK\x03\x04\x00", "mine.yaml:1: policy: '': not YAML"),
        (b"#" * (1 << 20) + b"#", "mine.yaml: larger than"),
    ],
)
def test_what_is_no_policy_file_is_refused_clearly(file_mistakes, content, what):
    assert file_mistakes(content)[0].startswith(what)


def test_a_file_that_cannot_be_read_is_refused_clearly(tmp_path):
    with pytest.raises(PolicyFileError, match=r"nowhere\.yaml: cannot be read \(No such file or directory\)"):
        load_policy(tmp_path / "nowhere.yaml")
    with pytest.raises(PolicyFileError, match="Is a directory"):
        load_policy(tmp_path)


def test_a_flag_in_the_environment_makes_another_policy():
    policy = load_policy(None, {"ENDOCRINE_FLAG_BROWSER_TOOL": "false", "ENDOCRINE_PREFIX": "x"})
    assert policy.document.flags.BROWSER_TOOL is False
    assert ("browser", "BROWSER_TOOL") in policy.switched_off
    assert policy.digest != shipped_policy().digest
    same = load_policy(None, {"ENDOCRINE_FLAG_BROWSER_TOOL": "true"})
    assert same.digest == shipped_policy().digest


@pytest.mark.parametrize(("name", "text"), [("BROWSER_TOOL", "maybe"), ("TELEPORT", "true"), ("BROWSER_TOOL", "")])
def test_a_flag_that_is_no_flag_is_refused(name, text):
    with pytest.raises(PolicyFileError, match=f"environment: ENDOCRINE_FLAG_{name}: '{text}': "):
        load_policy(None, {f"ENDOCRINE_FLAG_{name}": text})


def test_the_shipped_expressions_load_as_the_rules_write_them(tmp_path):
    path = tmp_path / "rules.yaml"
    shipped = Path(__file__).parents[3] / "config" / "policy.yaml"
    path.write_text(shipped.read_text(encoding="utf-8").replace("*x", "x"))
    assert "1 - 0.85x" in path.read_text()
    assert load_policy(path).document.maps["stress"]["temperature"].expression == "max(0.1, 0.7 - 0.6x)"
