"""What a worker process sets for itself, once, before it starts."""

import asyncio
import ctypes
import gc
from contextlib import suppress

import uvloop

SWEEP_S = 30.0
"""Seconds between collections of cyclic garbage. States are bytes and a batch's records die by reference count, so what
is left are cycles of tasks and exceptions: little, and not worth a walk through every young object inside a batch."""


KEEP_BYTES = 1 << 30
"""What glibc's allocator may keep instead of giving it back."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Names of mallopt's options (malloc.h)."""


def tune_process() -> None:
    """uvloop for this and Faust's threads, a cyclic garbage collector that waits until it is called, memory kept.

    Batches are megabytes: by default glibc maps each of them anew and gives it back, and the kernel clears every page
    of it again (a third of a worker's system time went there).
    """
    with suppress(AttributeError, OSError):  # another C library has no mallopt
        glibc = ctypes.CDLL(None)
        glibc.mallopt(_M_MMAP_THRESHOLD, KEEP_BYTES)
        glibc.mallopt(_M_TRIM_THRESHOLD, KEEP_BYTES)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    gc.collect()
    gc.freeze()  # modules, models, the policy: alive until the end, so never to be walked again
    gc.disable()  # `sweep` instead, now and then


def sweep() -> None:
    """Collect cyclic garbage where `tune_process` took that over."""
    if not gc.isenabled():
        gc.collect()
