"""The pure part of the model: the same in a worker and in a replay (`checks`)."""

from commit_model.broker import KINDS, TARGETS, digest, message

START = (-1, 0)


def identity(agent, key, coarse):
    """The key of the state: Y may join several keys of X in one."""
    return key.split(".")[0] if agent == "Y" and coarse else key


def decide(agent, state, record, policy):
    """The agent: state is (length, hash chain) or None. Return the new state and (topic, body) of each output."""
    length, chain = state or (0, "")
    first, second, rejects = TARGETS[agent]
    if (record.kind == "z" and length % 2 == 0) or (record.kind == "c" and state is None):
        return state, []
    if record.kind == "r" and length >= 3:
        return state, [(rejects, "rejected")]
    chain = digest(chain, record.id, policy)
    if record.kind == "c":
        return None, [(first, "closed" + chain)]
    outputs = {"o": [(first, chain)], "w": [(first, chain), (second, chain), (first, "+" + chain)]}
    return (length + 1, chain), outputs.get(record.kind, [])


def watermark(record, design):
    """Which watermark a re-keyed or derived record is held against, and its height; None for an original one."""
    if record.moved_from is not None:
        return (("moved", record.topic), (record.moved_from, 0)) if design.rekey_dedupe else None
    if record.origin is None or design.dedupe == "none":
        return None
    agent, topic, offset, ordinal = record.origin
    return (record.topic if design.dedupe == "per topic" else "any", agent, topic), (offset, ordinal)


def verdict(record, watermarks, design):
    """Read's verdict on a record. The watermark comes BEFORE the re-key: copies of one record have several offsets."""
    if record.kind == "bad":
        return "dead letter"
    if record.key.startswith("?") and not design.watermark_first:
        return "re-key"
    mark = watermark(record, design)
    if mark and watermarks.get(mark[0], START) >= mark[1]:
        return "drop"
    if mark:
        watermarks[mark[0]] = mark[1]
    return "re-key" if record.key.startswith("?") else "process"


def process(agent, records, number, policy, states, watermarks, coarse, design):
    """Read's rules and Process for one batch; brings states and watermarks up to date.

    Returns what Read sets aside (dead letters, re-keyed records), the outputs, the records processed, and those not
    dropped.
    """
    aside, outputs, processed, kept = [], [], [], []
    for record in records:
        found = verdict(record, watermarks, design)
        if found != "drop":
            kept.append(record)
        if found == "dead letter":
            aside.append(message(TARGETS[agent][2], f"{agent}({record.id}).dead", record.key, "n"))
        if found == "re-key":
            aside.append(message(record.topic, record.id, record.key[1:], record.kind, moved_from=record.offset))
        if found != "process":
            continue
        processed.append(record)
        key = identity(agent, record.key, coarse)
        states[key], bodies = decide(agent, states.get(key), record, policy)
        for ordinal, (topic, body) in enumerate(bodies):
            dice = int(digest(body, ordinal), 16)  # what the next agent makes of it: a kind, at times a wrong key
            outputs.append(
                message(
                    topic,
                    f"{agent}({record.id}).{ordinal}",
                    "?" * (dice % 7 == 0) + key,
                    KINDS[dice % 10],
                    (agent, record.topic, record.offset, ordinal),
                    batch=(agent, number),
                    body=body,
                )
            )
    return aside, outputs, processed, kept


def journal_record(agent, number, records, policy):
    """The batch's journal record: runs of (topic, first offset, count) in the order read, and the policy."""
    runs = []
    for record in records:
        if runs and runs[-1][0] == record.topic and runs[-1][1] + runs[-1][2] == record.offset:
            runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
        else:
            runs.append((record.topic, record.offset, 1))
    body = (tuple(runs), policy)
    return message(f"journal.{agent}", f"{agent}#{number}", agent, "journal", batch=(agent, number), body=body)
