"""All pages that are made from code, whole or in part."""

import json
from pathlib import Path
from typing import Any

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.gateway.app import ROWS
from endocrine.pipeline.gateway.openai.described import described
from endocrine.pipeline.gateway.openapi import document
from openai_shown import load, table
from reference.alert_tests import alert_tests
from reference.limits import limit_parts
from reference.markdown import replace_part
from reference.metrics import metric_parts
from reference.privacy import privacy_parts
from reference.records import records_page
from reference.settings import settings_page
from reference.signals import signal_parts


def pages(root: Path) -> dict[str, str]:
    """Path below `root` (a checkout) to text. Pages that are generated in part are read there first.

    Raises OSError where such a page is missing, ValueError where it lacks a part.
    """
    made = {
        "docs/reference/records.md": records_page(AGENTS),
        "docs/reference/settings.md": settings_page(),
        # What the types of the TypeScript client are generated from (`make client-ts`).
        "clients/typescript/openapi.json": _json(document(ROWS, "0", [described()])),
    }
    prometheus = root / "docker" / "prometheus"
    made["docker/prometheus/alerts_test.yml"] = alert_tests(
        (prometheus / "alerts.yml").read_text(encoding="utf-8"),
        (prometheus / "alert-cases.yml").read_text(encoding="utf-8"),
    )
    in_part = {
        "docs/observability.md": metric_parts(),
        "docs/signals.md": signal_parts(),
        "docs/limits.md": limit_parts(),
        "docs/privacy.md": privacy_parts(),
        "docs/openai.md": {"clients": table(load())},
    }
    for name, parts in in_part.items():
        made[name] = (root / name).read_text(encoding="utf-8")
        for part, lines in parts.items():
            made[name] = replace_part(made[name], part, lines)
    return made


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
