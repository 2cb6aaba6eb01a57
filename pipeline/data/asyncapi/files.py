"""Writes the schemas and the document as files: the same bytes for the same settings and code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from endocrine.agents.contract import Agent
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.data.asyncapi.asyncapi import asyncapi
from endocrine.pipeline.data.asyncapi.json_schemas import json_schema
from endocrine.pipeline.process.settings import Settings


def export(directory: Path, settings: Settings, agents: Sequence[Agent]) -> list[Path]:
    """Write `<topic>-value.json` per topic and `asyncapi.json`; the folder is made. Returns the files, in that order.

    Raises OSError where they cannot be written. Other files in the folder are left alone.
    """
    documents: dict[str, dict[str, Any]] = {
        f"{topic.name}-value.json": json_schema(topic, settings.prefix) for topic in CATALOGUE.values()
    }
    documents["asyncapi.json"] = asyncapi(settings, agents)
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, document in documents.items():
        path = directory / name
        path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        written.append(path)
    return written
