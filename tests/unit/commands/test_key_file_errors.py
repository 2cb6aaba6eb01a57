"""A file of keys that cannot be used ends a command that reads a broker with a sentence, never with a traceback."""

import pytest


@pytest.mark.parametrize("command", [("incidents",), ("replay", "verify")], ids=" ".join)
def test_a_seal_key_file_that_is_none_is_named_and_not_shown(endocrine, tmp_path, monkeypatch, command):
    (tmp_path / "wrong.keys").write_text("secret words that are no key")
    monkeypatch.setenv("ENDOCRINE_SEAL_KEY_FILE", str(tmp_path / "wrong.keys"))
    result = endocrine(*command, "--bootstrap", "127.0.0.1:1")
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert "secret" not in result.stderr
    assert "wrong.keys:1: not a seal key" in result.stderr
