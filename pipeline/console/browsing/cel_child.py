"""The process that expressions run in: `python -m endocrine.pipeline.console.browsing.cel_child`.

An expression cannot run code, but it can ask for any amount of time and memory: here the kernel ends it. Messages are
JSON after their length (4 bytes, big-endian). The first names the expression, each further one holds records.
"""

import resource
import sys
import types
from typing import Any, BinaryIO

import orjson

# The package's command line takes half a second to import, and is not used.
sys.modules["cel.cli"] = types.ModuleType("cel.cli")

import cel  # noqa: E402

from endocrine.pipeline.console.browsing.cel_names import NAMES  # noqa: E402

CPU_S = 5
MEMORY = 512 << 20
"""Bytes of address space."""


def main() -> None:
    """Serve until the input ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    inward, outward = sys.stdin.buffer, sys.stdout.buffer
    program = None
    while (message := _read(inward)) is not None:
        # For this message; a live tail sends them for minutes.
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + 1 + CPU_S
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        if program is None:
            program, answer = compiled(str(message))
        else:
            answer = judged(program, message)
        content = orjson.dumps(answer)
        outward.write(len(content).to_bytes(4, "big") + content)
        outward.flush()
        if program is None:
            return


def _read(inward: BinaryIO) -> Any:
    size = inward.read(4)
    return orjson.loads(inward.read(int.from_bytes(size, "big"))) if len(size) == 4 else None


def compiled(expression: str) -> tuple[Any, dict[str, Any]]:
    """Return the program, and what is wrong with the expression; one of them is None or empty."""
    try:
        program = cel.compile(expression)
        program.execute(dict.fromkeys(NAMES))
    except ValueError as error:
        return None, {"error": str(error)}
    except Exception as error:
        # Nothing has a field here: only what no record can change counts.
        if "Undefined variable" in str(error):
            return None, {"error": str(error)}
    return program, {}


def judged(program: Any, records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return of which records the expression is true, and the first reason why it has no answer for some."""
    taken: list[bool] = []
    failed, reason = 0, ""
    for record in records:
        try:
            answer = program.execute(record)
            if not isinstance(answer, bool):
                return {"error": f"the expression is of type {type(answer).__name__}; expected true or false"}
        except KeyError as error:
            answer, failed, reason = False, failed + 1, reason or f"no field {error}"
        except Exception as error:
            if "Undefined variable" in str(error):
                return {"error": str(error)}
            answer, failed, reason = False, failed + 1, reason or str(error)[:200]
        taken.append(answer)
    return {"taken": taken, "failed": failed, "reason": reason}


if __name__ == "__main__":
    main()
