"""The page of all settings: environment variables with type, default and meaning. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from endocrine.agents.policy.sections import Flags
from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.pipeline.console.settings import ConsoleSettings
from endocrine.pipeline.gateway.settings import GatewaySettings
from endocrine.pipeline.process.policy_files import FLAG_PREFIX, shipped_policy
from endocrine.pipeline.process.settings import Settings
from reference.markdown import GENERATED, table
from reference.shapes import shape

_HEAD = """\
# Settings

Environment variables, read once when a process starts. A value that cannot be used ends the process with exit code 2
and a line that names the variable, the kind of value and what was expected. "None" means that the variable is not set.
How models are called, tools are allowed and signals act is no setting but the policy ([rollout](../rollout.md)), which
is on record with every decision."""
GROUPS: Sequence[tuple[str, str, type[BaseSettings]]] = (
    ("Every process", "Workers, connectors and commands read these.", Settings),
    (
        "The model connector",
        "`endocrine connect model` ([models](../models.md)). The official names of the provider count too.",
        ModelSettings,
    ),
    ("The gateway", "`endocrine gateway` ([gateway](../gateway.md)).", GatewaySettings),
    ("The console", "`/console` of the gateway ([console](../console.md)).", ConsoleSettings),
    ("The tool connector", "`endocrine connect tools` ([connectors](../connectors.md)).", ToolSettings),
)
OTHERS: Sequence[tuple[str, str, str]] = (
    (
        "ENDOCRINE_AUDIT_KEY",
        "path",
        "File of the Ed25519 key that `endocrine audit checkpoint` signs with ([audit-chain](../audit-chain.md)).",
    ),
    ("ENDOCRINE_BUILT", "text", "When the deployment was built; shown by the gateway's `/health`."),
    ("ENDOCRINE_CAPTURE_DISABLED", "1", "`endocrine hook stop` records nothing."),
    ("ENDOCRINE_URL", "URL", "The gateway of clients, `endocrine hook stop` and `endocrine mcp`."),
    ("ENDOCRINE_API_KEY", "secret", "Their key, and that of `endocrine redteam`."),
    (
        "ENDOCRINE_IDENTITY",
        "text",
        "Whose turns `endocrine hook stop` records, and whose context `endocrine mcp` builds; else `claude-user`.",
    ),
    (
        "ENDOCRINE_KAFKA_JARS",
        "path",
        "Folder of Apache Kafka's jars for the local stack, where Maven Central cannot be reached "
        "([brokers](../brokers.md)).",
    ),
    ("JAVA_HOME", "path", "Java 17 or newer for the local stack, instead of the packaged one."),
    (
        "HTTPS_PROXY, HTTP_PROXY, NO_PROXY, SSL_CERT_FILE",
        "as elsewhere",
        "Way and certificates of the model connector.",
    ),
)
"""Variables that no settings class reads: name, type, meaning."""


def settings_page() -> str:
    """The page."""
    lines = [GENERATED, *_HEAD.splitlines()]
    for title, about, settings in GROUPS:
        lines += ["", f"## {title}", "", about, ""]
        lines += table(("variable", "type", "default", "meaning"), _rows(settings))
    lines += ["", "## Flags of the policy", ""]
    lines += [
        f"`{FLAG_PREFIX}<NAME>` overrides a flag of the policy when a process starts; a tool of your own may add one.",
        "",
    ]
    lines += table(("variable", "type", "as shipped", "meaning"), _flags())
    lines += ["", "## Others", "", *table(("variable", "type", "meaning"), ((f"`{a}`", b, c) for a, b, c in OTHERS))]
    return "\n".join(lines) + "\n"


def variables(settings: type[BaseSettings]) -> Mapping[str, str]:
    """Field to the variables that set it, the first first, as a person writes them."""
    prefix = settings.model_config.get("env_prefix", "")
    named = {}
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [f"{prefix}{name.upper()}"]
        named[name] = ", ".join(f"`{choice}`" for choice in choices)
    return named


def _rows(settings: type[BaseSettings]) -> Iterator[tuple[str, str, str, str]]:
    schema = settings.model_json_schema(by_alias=False)
    for name, variable in variables(settings).items():
        field = schema["properties"][name]
        default = settings.model_fields[name].get_default(call_default_factory=True)
        yield (
            variable,
            shape(field).removesuffix(" or null").removesuffix(";"),
            _shown(default),
            field["description"],
        )


def _flags() -> Iterator[tuple[str, str, str, str]]:
    shipped = shipped_policy().document.flags
    for name, field in Flags.model_fields.items():
        yield f"`{FLAG_PREFIX}{name}`", "true or false", _shown(shipped.on(name)), str(field.description)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | dict):
        return f"`{json.dumps(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
