"""What `endocrine run` opens to applications: gateway and connectors, with a scripted stand-in until a key is given.

None of it is needed for what the run shows: a door that does not stay up is a note, not the end.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from endocrine.pipeline.connectors.model.settings import ModelSettings
from endocrine.pipeline.gateway.settings import GatewaySettings
from endocrine.pipeline.local.fake_llm.script import Script, load_script
from endocrine.pipeline.local.fake_llm.server import ScriptedServer
from endocrine.pipeline.local.live.worker import RESTARTS, WorkerChild
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.subprocesses import free_port

PORT_FILE = "gateway.port"
SCRIPTED = "a bundled script answers, no model: OPENAI_API_KEY=... has one asked"
NOTES = "notes"
"""Folder of what the stand-in's retrieval searches, under the data folder."""


class Doors:
    """The gateway, and where the stack is ours the connectors. `run` each child; then `stop`."""

    def __init__(
        self, settings: Settings, *, note: Callable[[str], None], bury: Callable[[], Awaitable[object]], ours: bool
    ) -> None:
        self._settings = settings
        self._note = note
        self._bury = bury
        self._ours = ours
        self._server: ScriptedServer | None = None
        self.children: list[WorkerChild] = []
        self.url = ""

    async def start(self) -> None:
        """Choose the port, start the stand-in where one is needed; the children are started by `run` of each."""
        port = gateway_port(self._settings.data_dir)
        self.url = f"http://127.0.0.1:{port}"
        self.children.append(self._child("gateway", ("gateway", "--host", "127.0.0.1", "--port", str(port)), {}))
        if not self._ours:
            return  # on a Kafka of others there may be connectors already, and a stand-in would answer their turns
        extra: dict[str, str] = {}
        if not has_model(ModelSettings()):
            script = load_script(None)
            self._server = ScriptedServer(script)
            await self._server.start()
            extra = stand_in(self._server, script, self._settings.data_dir)
        self.children.append(self._child("connectors", ("connect", "all"), extra))

    @property
    def label(self) -> str:
        """Where console and gateway are, and who answers."""
        usual = int(self.url.rpartition(":")[2]) == GatewaySettings.model_fields["port"].default
        gateway = f"gateway {self.url}" if usual else f"for clients: export ENDOCRINE_URL={self.url}"
        return f"console {self.url}/console; {gateway}" + (f"; {SCRIPTED}" if self._server else "")

    async def stop(self) -> None:
        """End the children, then the stand-in."""
        await asyncio.gather(*(child.stop() for child in self.children))
        if self._server is not None:
            await self._server.stop()

    def _child(self, name: str, command: tuple[str, ...], extra: dict[str, str]) -> WorkerChild:
        return WorkerChild(
            self._settings,
            note=self._note,
            bury=self._bury,
            restarts=RESTARTS,
            name=name,
            command=command,
            extra=extra,
            without=("ENDOCRINE_METRICS_PORT",),  # the worker's
        )


def has_model(model: ModelSettings) -> bool:
    """Return whether a person gave a key, or a server that may need none."""
    return model.has_key or model.base_url is not None


def stand_in(server: ScriptedServer, script: Script, folder: Path) -> dict[str, str]:
    """Return variables that have connectors ask the stand-in."""
    notes = folder / NOTES
    notes.mkdir(exist_ok=True)
    for name, text in script.notes.items():
        (notes / name).write_text(text, encoding="utf-8")
    return {
        "ENDOCRINE_MODEL_BASE_URL": server.base_url,
        "ENDOCRINE_MODEL_API_KEY": "scripted",
        "ENDOCRINE_TOOL_CORPUS": str(notes),
    }


def gateway_port(folder: Path) -> int:
    """Return the port of the run before if it is free, else the setting's, else any free one; kept in the folder."""
    file = folder / PORT_FILE
    try:
        kept = int(file.read_text())
    except (OSError, ValueError):
        kept = None
    wanted = GatewaySettings()
    named = "port" in wanted.model_fields_set
    port = free_port(wanted.port) if named else free_port(kept if kept and 0 < kept < 65536 else None, wanted.port)
    file.write_text(f"{port}\n")
    return port
