"""What a worker process sets for itself, once, before it starts."""

import asyncio
import gc

import uvloop

YOUNG = 50_000
"""Allocations between collections of the youngest generation. The default, 700, runs inside every batch for nothing:
states are bytes, and a batch's records die by reference count."""


def tune_process() -> None:
    """uvloop for this and Faust's threads, and a cyclic garbage collector that leaves long-lived objects alone."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    gc.collect()
    gc.freeze()  # modules, models, the policy: alive until the end, so never to be walked again
    gc.set_threshold(YOUNG, 20, 100)
