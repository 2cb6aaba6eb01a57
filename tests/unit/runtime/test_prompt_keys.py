"""The file of keys of prompt hashes: used where the policy names one, refused where it is none, never printed."""

from pathlib import Path

import pytest

from endocrine.agents._shared.prompt_keys import fingerprint
from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy
from endocrine.pipeline.process.prompt_keys import load_prompt_keys, new_prompt_key_line
from endocrine.pipeline.process.seal_keys import KeyFileError
from endocrine.pipeline.process.settings import Settings


def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder, seal_key_file=None, prompt_key_file=None)


def test_a_fresh_line_is_a_key_under_its_fingerprint_beside_older_ones(tmp_path: Path) -> None:
    lines = [new_prompt_key_line() for _ in range(2)]
    (tmp_path / "prompt.keys").write_text("# ours\n" + "\n".join(lines))
    keys = load_prompt_keys(settings(tmp_path))
    assert [f"{name}:{key.hex()}" for name, key in keys.items()] == lines
    assert all(fingerprint(key) == name for name, key in keys.items())


def test_a_policy_that_names_a_key_loads_where_the_key_is_and_says_what_is_missing_where_not(tmp_path: Path) -> None:
    line = new_prompt_key_line()
    name, _, secret = line.partition(":")
    overlay = tmp_path / "policy.yaml"
    overlay.write_text(f"gating: {{prompt_hmac_key_id: '{name}'}}")
    with pytest.raises(PolicyFileError, match=rf"{name}.*ENDOCRINE_PROMPT_KEY_FILE"):
        load_policy(overlay, {}, load_prompt_keys(settings(tmp_path)))
    (tmp_path / "prompt.keys").write_text(line)
    assert load_policy(overlay, {}, load_prompt_keys(settings(tmp_path))).prompt_key == bytes.fromhex(secret)
    assert load_policy(overlay, {}).digest == load_policy(overlay, {}, load_prompt_keys(settings(tmp_path))).digest


def test_a_key_under_another_name_and_a_line_that_is_none_are_refused_and_not_printed(tmp_path: Path) -> None:
    secret = new_prompt_key_line().partition(":")[2]
    for line in (
        f"mine:{secret}",
        f"{'0' * 16}:{secret}",
        secret,
        f"{fingerprint(bytes.fromhex(secret))}:{secret[:-1]}",
    ):
        (tmp_path / "prompt.keys").write_text(line)
        with pytest.raises(KeyFileError) as told:
            load_prompt_keys(settings(tmp_path))
        assert secret[:-1] not in str(told.value)
