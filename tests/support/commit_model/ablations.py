"""The full design with one part taken away, for each part: all must fail, or the model proves nothing."""

import collections

from commit_model.schedules import campaign

ABLATIONS = {
    "no epoch": {"epoch": False},
    "no re-produce": {"reproduce": False},
    "no dedupe of derived records": {"dedupe": "none"},
    "watermark shared by topics": {"dedupe": "shared"},
    "no dedupe of re-keyed records": {"rekey_dedupe": False},
    "re-key before watermark": {"watermark_first": False},
    "split Checkpoint": {"split": True},
    "Produce grouped by key": {"grouped": True},
    "no compaction lag": {"lag": False},
    "journal before the outputs": {"journal": "first"},
    "journal after, not in the outbox": {"journal": "after, not in the outbox"},
    "journal before Checkpoint": {"journal": "before the checkpoint"},
    "no policy in the journal": {"journal_policy": False},
    "runs without dropped copies": {"runs": "kept"},
    "runs of processed records only": {"runs": "processed"},
    "runs with records below front": {"runs": "all"},
    # ---- of several batches in flight ----
    "the changelog keeps the last outbox only": {"outboxes": "last only", "slots": (3,)},
    "recovery produces the last outbox only": {"recovers": "last only", "slots": (3,)},
    "recovery produces out of order": {"recovers": "descending", "slots": (3,)},
    "outputs count as produced when sent": {"counts": "sent"},
    "one batch more in flight than slots": {"bound": "one more"},
    "outputs before the checkpoint is looked at": {"produce": "before the look"},
    "outputs of two batches at once": {"produce": "overlapping", "slots": (3,)},
    "a newer epoch fences at the first look only": {"look": "once"},
    "offsets committed before they are checkpointed": {"commits": "what is read"},
}


def count_failures(count, workers=None):
    """Yield (part, schedules that failed, seed of the first or None, failures by kind) of each ablation."""
    for part, changes in ABLATIONS.items():
        seeds, kinds = [], collections.Counter()
        for seed, failures in campaign(count, workers=workers, **changes):
            if failures:
                seeds.append(seed)
                kinds.update({" ".join(failure.split()[:2]).rstrip(":") for failure in failures})
        yield part, len(seeds), min(seeds, default=None), kinds
