"""A canary in every setting that holds a secret, as variable and as file: no text of settings and no help has it."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.pipeline.console.settings import ConsoleSettings
from endocrine.pipeline.gateway.settings import GatewaySettings
from endocrine.pipeline.process.environment import EnvironmentSettings, SettingsError
from endocrine.pipeline.process.settings import Settings

CANARY = "canary-7f3a"
CLASSES: list[type[EnvironmentSettings]] = [Settings, ModelSettings, ToolSettings, GatewaySettings, ConsoleSettings]
ADDRESSES = {
    "ENDOCRINE_REDIS_URL": f"rediss://user:{CANARY}@redis.example/0",
    "ENDOCRINE_MODEL_BASE_URL": f"https://user:{CANARY}@llm.example/v1",
    "ENDOCRINE_TOOL_CONNECTORS": f'{{"web": "https://user:{CANARY}@tools.example"}}',
}
SASL = {"ENDOCRINE_KAFKA_SECURITY": "SASL_SSL", "ENDOCRINE_KAFKA_USER": "ann"}


def secret_variables() -> list[str]:
    """Every variable that holds a secret, by its type."""
    return [
        f"{made.model_config['env_prefix']}{name}".upper()
        for made in CLASSES
        for name, field in made.model_fields.items()
        if SecretStr.__name__ in str(field.annotation)
    ]


def test_every_secret_may_be_a_file_instead() -> None:
    known = {f"{made.model_config['env_prefix']}{name}".upper() for made in CLASSES for name in made.model_fields}
    assert len(secret_variables()) >= 4
    assert {f"{name}_FILE" for name in secret_variables()} <= known


def test_a_field_that_is_named_like_a_secret_has_the_type_of_one_or_names_a_file() -> None:
    for made in CLASSES:
        for name, field in made.model_fields.items():
            if name.split("_")[-1] in ("password", "secret", "token") or name.endswith("api_key"):
                assert "SecretStr" in str(field.annotation), name


@pytest.mark.parametrize("given", ["variable", "file"])
@pytest.mark.parametrize("made", CLASSES)
def test_no_text_of_settings_holds_a_secret(
    made: type[EnvironmentSettings], given: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{CANARY}\n")
    for name, value in {**SASL, **ADDRESSES}.items():
        monkeypatch.setenv(name, value)
    for name in secret_variables():
        monkeypatch.setenv(*((name, CANARY) if given == "variable" else (f"{name}_FILE", str(file))))
    settings = made()
    assert CANARY not in f"{settings!r} {settings} {list(settings.__repr_args__())}"
    if isinstance(settings, Settings):
        assert settings.secret("kafka_password") == CANARY


def test_what_cannot_be_used_is_named_without_its_content(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(CANARY)
    for name, value in {**SASL, **ADDRESSES}.items():
        monkeypatch.setenv(name, value)
    for name in secret_variables():
        monkeypatch.setenv(name, CANARY)
        monkeypatch.setenv(f"{name}_FILE", str(file))
    for made in (Settings, ModelSettings):
        with pytest.raises(SettingsError) as found:
            made()
        assert "both are given" in str(found.value)
        assert CANARY not in f"{found.value!r} {found.value.__context__!r} {found.value.__cause__!r}"


@pytest.mark.parametrize("command", ["", "worker", "gateway", "connect model", "project", "acls print", "status"])
def test_no_help_shows_a_secret_of_the_environment(endocrine, command: str) -> None:
    result = endocrine(*command.split(), "--help", **SASL, **ADDRESSES, **dict.fromkeys(secret_variables(), CANARY))
    assert result.exit_code == 0
    assert CANARY not in result.output
