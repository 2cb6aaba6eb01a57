"""What a worker process sets for itself, once, before it starts."""

import asyncio
import gc

import uvloop

from endocrine.pipeline.process.malloc import keep_memory

COLLECT_GARBAGE_S = 30.0
"""Seconds between collections of cyclic garbage. States are bytes and a batch's records die by reference count, so what
is left are cycles of tasks and exceptions: little, and not worth a walk through every young object inside a batch."""


def tune_process() -> None:
    """Set uvloop for this and Faust's threads, a cyclic garbage collector that waits until it is called, memory
    kept.
    """
    keep_memory()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    gc.collect()
    gc.freeze()  # modules, models, the policy: alive until the end, so never to be walked again
    gc.disable()  # `sweep` instead, now and then


def collect_garbage() -> None:
    """Collect cyclic garbage where `tune_process` took that over."""
    if not gc.isenabled():
        gc.collect()
