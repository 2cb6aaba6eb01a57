"""The protocol's four claims, held against what a schedule leaves. Each failure begins with the number of its claim.

1 every good record is processed once, none is lost, and the stored states are those of that one history
2 copies of an output are identical; every output of the history is produced, and no other
3 the first copies in each topic are in the order processed
4 source topics and journal alone (first copy of each batch) give every record produced, byte for byte, and no other;
  batch numbers have no gap; copies of a journal record are identical; the runs cover each source topic once; the
  outputs of batch n are produced after journal record n - 1 and before journal record n
"""

import collections

from commit_model.broker import CHECKPOINT, EPOCH, SOURCES, TARGETS
from commit_model.process import decide, identity, process
from commit_model.worker import is_state, recover


def first_copies(journal):
    """The journal without its copies."""
    first = {}
    for entry in journal:
        first.setdefault(entry.batch, entry)
    return first.values()


def replay(agent, topics, coarse, design, policy_now):
    """Claim 4's replay, from source topics and journal alone: (batch number, record produced) in order, and states."""
    states, watermarks, produced = {}, {}, []
    for entry in first_copies(topics[f"journal.{agent}"]):
        runs, policy = entry.body
        records = [topics[topic][first + i] for topic, first, count in runs for i in range(count)]
        rules = policy if design.journal_policy else policy_now
        aside, outputs, _, _ = process(agent, records, entry.batch[1], rules, states, watermarks, coarse, design)
        produced += [(None, out) for out in aside] + [(entry.batch[1], out) for out in outputs]
    return produced, {key: state for key, state in states.items() if state}


def history_of(log, design):
    """The valid checkpoints of the uncompacted changelog, in order."""
    checkpoints, epoch = [], -1
    for entry in log.ever:
        if entry.key == EPOCH or not design.epoch:
            epoch = max(epoch, entry.epoch)
        valid = entry.key == CHECKPOINT and entry.value and entry.epoch >= epoch
        if valid and not any(entry.value is one for one in checkpoints):
            checkpoints.append(entry.value)
    return checkpoints


def check(broker, agent, coarse, design):
    """Return the failures of the four claims for one agent."""
    log, topics, bad = broker.changelogs[agent], broker.topics, []
    checkpoints = history_of(log, design)
    processed = [pair for checkpoint in checkpoints for pair in checkpoint.processed]
    ids = collections.Counter(record.id for record, _ in processed)
    bad += [f"1 twice {i}" for i, n in ids.items() if n > 1]
    good = {record.id for t in SOURCES[agent] for record in topics[t] if record.kind != "bad"}
    bad += [f"1 lost {i}" for i in sorted(good - set(ids))]
    states, expected = {}, collections.defaultdict(list)
    for record, policy in processed:
        key = identity(agent, record.key, coarse)
        states[key], bodies = decide(agent, states.get(key), record, policy)
        for ordinal, (topic, _) in enumerate(bodies):
            expected[topic].append(f"{agent}({record.id}).{ordinal}")
    states = {key: state for key, state in states.items() if state}
    store = {key: value for key, value in recover(log.entries, design)[0].items() if is_state(key)}
    if store != states:
        bad.append(f"1 states {store}, not {states}")
    for topic in TARGETS[agent]:
        copies = collections.defaultdict(set)  # by id, in the order of first copies
        for record in topics[topic]:
            if record.batch:
                copies[record.id].add(record.bytes)
        bad += [f"2 differ {i}" for i, forms in copies.items() if len(forms) > 1]
        bad += [f"2 not produced {i}" for i in expected[topic] if i not in copies]
        bad += [f"2 unheard-of {i}" for i in copies if i not in expected[topic]]
        if not bad and list(copies) != expected[topic]:
            bad.append(f"3 order {topic} {list(copies)}, not {expected[topic]}")
    return bad + check_journal(broker, agent, coarse, design, len(checkpoints), store)


def check_journal(broker, agent, coarse, design, batches, store):
    """Return the failures of claim 4. batches: how many were checkpointed. store: the stored states."""
    topics, bad = broker.topics, []
    times, seen = {0: 0}, collections.defaultdict(set)
    for record in topics[f"journal.{agent}"]:
        times.setdefault(record.batch[1], record.time)
        seen[record.batch[1]].add(record.bytes)
    if list(times) != list(range(batches + 1)):
        bad.append(f"4 gap: journal of {list(times)[1:]}, {batches} batches")
    bad += [f"4 journal differs {n}" for n, forms in seen.items() if len(forms) > 1]
    read = collections.defaultdict(list)
    for record in first_copies(topics[f"journal.{agent}"]):
        for topic, first, count in record.body[0]:
            read[topic] += range(first, first + count)
    bad += [f"4 runs {t} {read[t]}" for t in SOURCES[agent] if read[t] != list(range(len(topics[t])))]
    produced, final = replay(agent, topics, coarse, design, broker.policy)
    if final != store:
        bad.append(f"4 replay states {final}, not {store}")
    mine = [r for t in {*TARGETS[agent], *SOURCES[agent]} for r in topics[t] if r.by[0] == agent]
    replayed, real = {(out.topic, out.bytes) for _, out in produced}, {(r.topic, r.bytes) for r in mine}
    bad += [f"4 replay lacks {one}" for one in sorted(real - replayed)]
    bad += [f"4 replay invents {one}" for one in sorted(replayed - real)]
    first = {r.bytes: r.time for r in sorted(mine, key=lambda r: -r.time)}
    bad += [
        f"4 time {out.id} of batch {n}"
        for n, out in produced
        if n and n in times and n - 1 in times and out.bytes in first and not times[n - 1] < first[out.bytes] < times[n]
    ]
    return bad
