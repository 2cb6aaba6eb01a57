"""Who is measured: each a process of its own, by its module in `bench.competitors`."""

from typing import NamedTuple


class Contender(NamedTuple):
    """One of those that are compared."""

    module: str
    label: str
    """As tables and pictures show it."""
    variant: str = ""
    """What its module makes of it, see there."""
    prefix: bool = False
    """Reads the first records only (`Plan.prefix_records`): too slow for all, or compared with one that is."""

    @property
    def agents(self) -> tuple[str, ...]:
        """Whose topics it needs; none: a source and a target alone."""
        return ("attribution",) if self.module in ("endocrine", "ideal") else ()


CONTENDERS = {
    "endocrine": Contender("endocrine", "Endocrine"),
    "ideal": Contender("ideal", "ideal: all our bytes, no logic"),
    "ideal_fold": Contender("ideal", "ideal and the fold", variant="fold"),
    "bare": Contender("bare", "bare loop, state in a dict"),
    "quix": Contender("quix", "Quix Streams, checkpoints 1 s", variant="1"),
    "quix_5s": Contender("quix", "Quix Streams, its own 5 s", variant="5"),
    "endocrine_prefix": Contender("endocrine", "Endocrine, first records", prefix=True),
    "faust": Contender("faust", "stock Faust, first records", prefix=True),
    "faust_uvloop": Contender("faust", "Faust on uvloop, first records", variant="uvloop", prefix=True),
    "echo": Contender("echo", "bare echo"),
    "echo_durable": Contender("echo_durable", "echo, one awaited write before it"),
}
THROUGHPUT = tuple(name for name, one in CONTENDERS.items() if not one.module.startswith("echo"))
CODECS = ("none", "lz4", "zstd")


def labelled(name: str) -> str:
    """Its label; with a codec, `NAME+CODEC`, that too."""
    name, _, codec = name.partition("+")
    return CONTENDERS[name].label + (f", {codec}" if codec else "")
