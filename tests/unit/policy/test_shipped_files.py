"""The shipped files are read by libyaml where it is there, and once per process: nobody is to notice."""

from pathlib import Path

import pytest

from endocrine.pipeline.process.policy_files import _shipped, load_policy, shipped_policy
from endocrine.pipeline.process.yaml_lines import read_yaml

FILES = sorted((Path(__file__).parents[3] / "config").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_both_readers_give_the_same_values_and_lines(file):
    text = file.read_text(encoding="utf-8")
    assert read_yaml(text, ours=True) == read_yaml(text)


def test_who_changes_what_was_read_changes_it_for_nobody_else(tmp_path):
    whole, _ = _shipped()
    whole["defaults"]["temperature"] = 0.123
    whole["flags"].clear()
    (tmp_path / "mine.yaml").write_text("defaults: {top_p: 0.5}\n")
    loaded = load_policy(tmp_path / "mine.yaml", {"ENDOCRINE_FLAG_STRICT_DEFAULT": "true"})
    assert loaded.document.defaults.temperature == shipped_policy().document.defaults.temperature
    assert load_policy(tmp_path / "mine.yaml", {}).document.flags.STRICT_DEFAULT is False
