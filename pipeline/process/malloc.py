"""How a process that works through batches, or answers others, lets memory be managed."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

KEEP_BYTES = 1 << 30
"""What glibc's allocator may keep instead of giving it back."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Names of mallopt's options (malloc.h)."""
_YOUNG_OBJECTS = 700, 10, 10
"""Python's own thresholds of the cyclic garbage collector."""


def keep_memory() -> None:
    """Keep memory that was freed for what comes next, for the rest of the process.

    Batches are megabytes: by default glibc maps each of them anew and gives it back, and the kernel clears every page
    of it again (a third of a worker's system time went there).
    """
    with suppress(AttributeError, OSError):  # another C library has no mallopt
        glibc = ctypes.CDLL(None)
        glibc.mallopt(_M_MMAP_THRESHOLD, KEEP_BYTES)
        glibc.mallopt(_M_TRIM_THRESHOLD, KEEP_BYTES)


def keep_started() -> None:
    """Keep what is alive out of the cyclic garbage collector's walks, for the rest of the process, and have it walk
    young objects often: for who answers others, once it is ready to.

    Modules, models and the policy are 200,000 objects: a walk through them takes 0.1 s. Commands let 50,000 young ones
    come together while they import (`endocrine.pipeline.cli.main`); to walk these takes 30 ms, in which nobody is
    answered.
    """
    gc.freeze()
    gc.set_threshold(*_YOUNG_OBJECTS)


@contextmanager
def without_collections() -> Iterator[None]:
    """Run without walks of the cyclic garbage collector, beyond those that are asked for: a batch's records die by
    reference count, and every walk would look at all young ones.

    What is alive is frozen meanwhile. Where the process has frozen objects already, all stay so: they cannot be
    parted from ours, and walking through them is what it did not want.
    """
    if not gc.isenabled():
        yield
        return
    ours = gc.get_freeze_count() == 0
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if ours:
            gc.unfreeze()
