"""Executable model of the commit protocol: Read, Process, Checkpoint, Produce, Commit, with several batches in flight.

`worker` is the protocol, `checks` holds its four claims against what a schedule leaves, `schedules` draws random ones,
`ablations` takes one part away at a time. It is smaller than the runtime on purpose: an overlap of writes is decided
here first, and only what holds here is built. `python -m commit_model --help`.

Which writes of one (agent, partition) may overlap, by this model:
- the checkpoint of batch n + 1 may be written while outputs of batch n are under way, provided that every outbox that
  is not acknowledged is in the changelog under a key of its own, which no later batch overwrites before it is, and
  that a checkpoint names the batch up to which all is produced as it was known before the checkpoint was sent;
- dead letters and re-keyed records of batch n + 1 may go out while outputs of batch n are under way;
- the group's offsets may be committed from the moment of a checkpoint on.
Which may not, each an ablation that fails:
- outputs of a batch before its own checkpoint is acknowledged and looked at (a newer epoch before it fences);
- outputs of batch n + 1 before the journal record of batch n is acknowledged;
- a checkpoint that counts outputs as produced which are only on their way;
- more batches in flight than there are keys for outboxes;
- recovery that produces only the last outbox, or the outboxes in another order, or reads before it has produced them.
"""
