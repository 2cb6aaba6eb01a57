"""Two chained toy agents whose states and outputs depend on everything that must not go wrong.

X reads s1, s2 and writes d1, d2; Y reads d1, d2, s3 and writes e1, e2. The state is a hash chain over ids and policies,
so any loss, double, reordering or stale state shows in every later byte. At times X says something about another
identity under the key of its own, which Y must re-key. Producers of s1 retry, and reuse ids with other content.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from types import SimpleNamespace
from typing import Any

import orjson

from endocrine.agents.contract import Output, Reject, State, Trigger
from endocrine.pipeline.core.catalogue import Topic
from endocrine.pipeline.core.partitioning import partition_of
from endocrine.pipeline.core.records import OutputRecord
from endocrine.pipeline.core.seals import simulated_seals
from endocrine.pipeline.core.sizes import Sizes

PARTITIONS = 2
KINDS = "nnnooowzcr"
"""n state only, o one output, w three outputs, z may change nothing, c close, r may reject."""
IDENTITIES = ("ann", "max", "bob", "tom")
"""By turns on each of two partitions."""
RETRIED = "s1"
"""The topic whose producers retry."""


def digest(*parts: object) -> str:
    """Eight hexadecimal digits of a hash."""
    return blake2b(repr(parts).encode(), digest_size=4).hexdigest()


@dataclass(frozen=True)
class Toy:
    """A toy agent. fine: its keys are finer than the identity. pad: bytes by which some outputs are longer."""

    name: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    fine: bool = False
    pad: int = 0

    def key(self, trigger: Trigger) -> str:
        """The identity, or identity and half."""
        return f"{trigger.identity}/{len(trigger.id) % 2}" if self.fine else trigger.identity

    def process(self, state: State, trigger: Trigger, policy: Any) -> tuple[State, list[Output]]:
        """State is [length, hash chain] or None."""
        kind = trigger.value["kind"]
        length, chain = state or [0, ""]
        first, second = self.targets
        if (kind == "z" and length % 2 == 0) or (kind == "c" and state is None):
            return state, []
        if kind == "r" and length >= 3:
            raise Reject("too_long", f"{trigger.id}: length {length}, expected below 3")
        chain = digest(chain, trigger.id, policy.digest)
        if kind == "c":
            return None, [self._output(first, trigger, "closed" + chain, 0)]
        long = "+" + chain + "." * self.pad
        outputs = {"o": [(first, chain)], "w": [(first, chain), (second, chain), (first, long)]}.get(kind, [])
        return [length + 1, chain], [
            self._output(topic, trigger, content, n) for n, (topic, content) in enumerate(outputs)
        ]

    def _output(self, topic: str, trigger: Trigger, content: str, ordinal: int) -> Output:
        dice = int(digest(content, ordinal), 16)
        about = IDENTITIES[dice // 70 % len(IDENTITIES)] if dice % 7 == 0 else trigger.identity
        value = {"identity": about, "kind": KINDS[dice % len(KINDS)], "body": content, "ts": 1.0}
        return Output(topic, trigger.identity, value)


def toy_agents(fine: bool) -> dict[str, Toy]:
    """The two agents by name."""
    return {
        "x": Toy("x", ("s1", "s2"), ("d1", "d2")),
        "y": Toy("y", ("d1", "d2", "s3"), ("e1", "e2"), fine, pad=600),
    }


CATALOGUE = {
    name: Topic(name, dict[str, Any], "delete", "a toy's", owner, producer_dedup=name == RETRIED, ours=name[0] == "d")
    for name, owner in [("s1", "x"), ("s2", "x"), ("s3", "y"), ("d1", "y"), ("d2", "y"), ("e1", None), ("e2", None)]
}


SIZES = Sizes(value=4096)
SEALS = simulated_seals()


@cache
def policy(number: int) -> Any:
    """A policy that is nothing but its digest."""
    document = SimpleNamespace(time=SimpleNamespace(ahead_s=300.0))
    return SimpleNamespace(digest=f"{number:064d}", canary=None, document=document)


def source_record(topic: str, name: str, identity: str, kind: str, fit: str) -> OutputRecord:
    """An input. kind `b`: not JSON. fit: `right`, `key` (a foreign key) or `place` (another partition)."""
    value = b"{" if kind == "b" else orjson.dumps({"id": name, "identity": identity, "kind": kind, "ts": 1.0})
    place = partition_of(identity, PARTITIONS)
    key = identity.encode()
    if fit == "key":
        key, place = b"?", partition_of("?", PARTITIONS)
    elif fit == "place":
        place = (place + 1) % PARTITIONS
    return OutputRecord(topic, place, key, value, (("ce_id", name.encode()),), False)
