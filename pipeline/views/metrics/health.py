"""Health of a process: a status for each part of each role that it has, and what follows for the whole."""

import time
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from endocrine.pipeline.process.settings import Settings

Status = Literal["ok", "waiting", "failed"]


class Part(NamedTuple):
    """One part of a role."""

    status: Status
    """waiting: it is on its way, such as a recovery. failed: it takes somebody, or a restart."""
    figures: Mapping[str, Any] = {}
    """Numbers and names of ours that say more; never content or identities."""


class Health(NamedTuple):
    """Health of one role: worker, model, tools, timekeeper, projector."""

    parts: Mapping[str, Part]
    live: bool = True
    """False: the process makes no progress at all and is to be started anew."""

    @property
    def ready(self) -> bool:
        """Whether all parts do what they are there for."""
        return self.live and all(part.status == "ok" for part in self.parts.values())


def document(roles: Mapping[str, Health]) -> dict[str, Any]:
    """Return what `/readyz` shows.

    >>> document({"worker": Health({"broker": Part("ok"), "recovery": Part("waiting", {"partitions": 3})})})["status"]
    'not ready'
    """
    return {
        "status": "ready" if all(health.ready for health in roles.values()) else "not ready",
        "roles": {
            role: {
                "status": "ready" if health.ready else "not ready",
                "parts": {name: {"status": part.status, **part.figures} for name, part in health.parts.items()},
            }
            for role, health in roles.items()
        },
    }


def polling_health(polled: float, settings: Settings, *, ready: bool, **parts: Part) -> Health:
    """Return the health of a role that polls in a loop.

    polled: when its loop came round last, monotonic seconds. ready: whether it was given partitions. A loop that has
    not come round for `stall_unready_s` failed; for `stall_exit_s`, the process is to be started anew.
    """
    age = time.monotonic() - polled
    progress = Part("failed" if age > settings.stall_unready_s else "ok", {"polled_s": round(age, 1)})
    return Health(
        {"assignment": Part("ok" if ready else "waiting"), "progress": progress, **parts},
        live=age <= settings.stall_exit_s,
    )
