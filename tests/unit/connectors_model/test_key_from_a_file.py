"""The provider's key may lie in a file: it is read once, and no error shows it."""

from pathlib import Path

import pytest

from endocrine.pipeline.connectors.model.settings import ModelSettings, missing_key
from endocrine.pipeline.local.live.doors import has_model
from endocrine.pipeline.process.environment import SettingsError


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ENDOCRINE_MODEL_API_KEY", "ENDOCRINE_MODEL_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_the_key_is_read_from_the_file_that_the_variable_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text("sk-secret \n")
    monkeypatch.setenv("ENDOCRINE_MODEL_API_KEY_FILE", str(file))
    settings = ModelSettings()
    assert (settings.key, settings.private()[0], missing_key(settings, {})) == ("sk-secret", "sk-secret", None)
    assert has_model(settings)
    file.unlink()
    assert settings.key == "sk-secret"
    assert "sk-secret" not in repr(settings)


def test_two_keys_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("ENDOCRINE_MODEL_API_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(SettingsError, match="both are given; expected one of them") as refused:
        ModelSettings()
    assert "sk-secret" not in str(refused.value)


def test_a_file_that_is_empty_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"ENDOCRINE_MODEL_API_KEY_FILE: .*key cannot be used \(No such file"):
        missing_key(ModelSettings(api_key_file=tmp_path / "key"), {})
    (tmp_path / "key").write_text("\n")
    with pytest.raises(SettingsError, match=r"ENDOCRINE_MODEL_API_KEY_FILE: .*is empty"):
        missing_key(ModelSettings(api_key_file=tmp_path / "key"), {})


def test_no_key_says_which_variables_there_are() -> None:
    assert "ENDOCRINE_MODEL_API_KEY_FILE" in (missing_key(ModelSettings(), {}) or "")
