"""A draft of a policy, as text: its mistakes at their lines, and what would have been otherwise under it."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.core.time_format import show_time
from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy
from endocrine.pipeline.process.settings import Settings

WHAT_IF_S = 180.0
"""Seconds that a what-if may take before it is ended."""
SHOWN_BYTES = 64 << 10
"""Bytes of its report that are shown."""
_GIVEN = ("bootstrap", "prefix", "partitions", "group", "data_dir", "seal_key_file", "prompt_key_file")
"""Settings that a what-if needs from us; the others, secrets among them, it has from the environment, as we did."""


class WhatIfFailed(Exception):
    """A what-if gave no report. The message says why."""


@contextmanager
def _file(text: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="endocrine-draft-") as folder:
        path = Path(folder) / "draft"
        path.write_text(text, encoding="utf-8")
        yield path


def checked(text: str) -> tuple[Policy | None, list[str]]:
    """Return the policy of a draft, laid over the shipped one; or its mistakes, one a line, `draft:LINE: ...`."""
    with _file(text) as path:
        try:
            return load_policy(path, os.environ), []
        except PolicyFileError as error:
            return None, [line.replace(str(path), "draft") for line in error.errors]


async def what_if(settings: Settings, text: str, hours: float) -> str:
    """Return what would have been otherwise under a draft in the last hours, as text.

    It runs as a process of its own, which does not outlive the call. Raises WhatIfFailed.
    """
    with _file(text) as path:
        since = show_time(time.time() - 3600 * hours)
        command = ("-m", "endocrine.pipeline.cli", "replay", "what-if", "--policy", str(path), "--from", since)
        given = {f"ENDOCRINE_{name.upper()}": getattr(settings, name) for name in _GIVEN}
        environment = os.environ | {name: str(value) for name, value in given.items() if value is not None}
        child = await asyncio.create_subprocess_exec(
            sys.executable, *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(WHAT_IF_S):
                out, err = await child.communicate()
        except TimeoutError:
            raise WhatIfFailed(
                f"no report within {WHAT_IF_S:.0f} s; run `endocrine replay what-if` where it may take longer"
            ) from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    if child.returncode:
        reason = err.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
        raise WhatIfFailed(reason[0].replace(str(path), "draft")[:500])
    return out[:SHOWN_BYTES].decode("utf-8", "replace")
