"""Coverage-guided fuzzing (atheris) of what reads strangers' bytes: `make fuzz-code SECONDS=60`, or one target by name.

What must hold for any bytes: a documented exception or none, within a bound of time and memory. Each target runs as a
process of its own, since libFuzzer ends the process on its first finding; inputs that found something, and the corpus,
lie under `.endocrine/fuzz-code/<target>/`. `--plain` needs no atheris: random bytes from a seed, for a quick look.
"""

import argparse
import contextlib
import io
import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

MOST_BYTES = 4096
INPUT_S = 5
"""Seconds that one input may take; libFuzzer ends the process when it takes longer."""
MEMORY_MB = 2048
_SEEDS = Path(__file__).resolve().parent / "corpus"
Target = Callable[[bytes], object]


def targets() -> dict[str, Callable[[], Target]]:
    """Each target by name: what makes it, so that only what is asked for is imported."""
    return {
        "decode": _decode,
        "expressions": _expressions,
        "redaction": _redaction,
        "page": _page,
        "arguments": _arguments,
        "replies": _replies,
        **{f"ingest-{name}": lambda name=name: _ingest(name) for name in _formats()},
    }


def _formats() -> list[str]:
    from endocrine.pipeline.data.ingest.run import FORMATS

    return list(FORMATS)


def _decode() -> Target:
    from endocrine.pipeline.core.catalogue import CATALOGUE
    from endocrine.pipeline.core.decode import Malformed, decode

    topics = list(CATALOGUE.values())

    def target(data: bytes) -> None:
        topic = topics[data[0] % len(topics)] if data else topics[0]
        try:
            decode(topic, data[1:], 1 << 20)
        except Malformed as error:
            str(error).encode()

    return target


def _expressions() -> Target:
    from endocrine.agents.policy.expressions import ExpressionError, Shape, compile_expression

    shape, words = Shape("number", 0.0, 1.0), frozenset({"strict", "balanced", "creative", "retrieval", "browser"})
    signals = frozenset({"stress", "alignment_risk", "trust"})
    nothing = dict.fromkeys(signals, 0.0)

    warnings.simplefilter("ignore", SyntaxWarning)  # of Python's parser, on numbers such as 1and

    def target(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        try:
            compiled = compile_expression(text, shape, signals, words)
        except ExpressionError as error:
            str(error).encode("utf-8", "replace")
            return
        for level in (0.0, 0.5, 1.0):  # what was taken never fails
            value = compiled.evaluate(level, 0.5, {**nothing, "stress": level})
            assert compiled.shape.kind != "number" or compiled.shape.low - 1e-6 <= value <= compiled.shape.high + 1e-6

    return target


def _rules():  # type: ignore[no-untyped-def]
    import yaml

    from endocrine.agents.gating.rules import GatingRules

    text = resources.files("endocrine.config").joinpath("gating.yaml").read_text(encoding="utf-8")
    return GatingRules.model_validate(yaml.safe_load(text))


def _redaction() -> Target:
    import orjson

    from endocrine.agents.gating.redaction import REDACTED, redact, summarise

    rules = _rules()

    def target(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        redact(text, rules)
        assert len(summarise(text, rules)) <= rules.summary_chars
        hidden = redact({"password": text, "x": [{"api_key": text}]}, rules)
        assert hidden == {"password": REDACTED, "x": [{"api_key": REDACTED}]}
        try:
            value = orjson.loads(data)
        except ValueError:
            return
        orjson.dumps(redact(value, rules))

    return target


def _page() -> Target:
    from endocrine.pipeline.connectors.tools.fetch import content_type
    from endocrine.pipeline.connectors.tools.page import text_of

    def target(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        assert len(text_of(text).encode()) <= 4 * len(text) + 4
        content_type(data.decode("latin-1"))

    return target


def _arguments() -> Target:
    import orjson

    from endocrine.agents._shared.arguments import read_arguments
    from endocrine.pipeline.connectors.tools.results import shown

    rules = _rules()

    def target(data: bytes) -> None:
        value = read_arguments(data.decode("utf-8", "surrogateescape"), 32)
        if value is not None:
            assert len(orjson.dumps(shown(value, rules, 500, 4096))) <= 4096

    return target


def _replies() -> Target:
    import importlib
    import importlib.util

    import orjson

    if importlib.util.find_spec("endocrine.pipeline.connectors.model.reading") is None:
        return _whole_replies()
    # By name: where replies are read whole only, these are not there.
    reading = importlib.import_module("endocrine.pipeline.connectors.model.reading")
    failed = importlib.import_module("endocrine.pipeline.connectors.model.failures").Failed
    bounds = importlib.import_module("endocrine.agents.conversation.capabilities").ReplyBounds()

    def target(data: bytes) -> None:
        size = data[0] + 1 if data else 1
        for api in ("chat", "responses"):
            reader = reading.ReplyReader(api, bounds, lambda word: False)
            with contextlib.suppress(failed):
                for place in range(1, len(data), size):
                    reader.feed(data[place : place + size])
                orjson.dumps(str(reader.close()))

    return target


def _whole_replies() -> Target:
    import orjson

    from endocrine.pipeline.connectors.model import wire

    def target(data: bytes) -> None:
        try:
            value = orjson.loads(data[1:])
        except ValueError:
            return
        listed = [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
        for read in (
            lambda: wire.chat_outcome(value),
            lambda: wire.responses_outcome(value),
            lambda: wire.moderation_outcome(value),
            lambda: wire.chat_outcome(wire.joined_chunks(listed)),
            lambda: wire.responses_outcome(wire.last_response(listed)),
        ):
            with contextlib.suppress(wire.Malformed):
                orjson.dumps(str(read()))

    return target


def _ingest(name: str) -> Target:
    import orjson

    from endocrine.pipeline.data.ingest.model import Options, Tally
    from endocrine.pipeline.data.ingest.run import ingest, shipped_rules

    options = Options(identity="ann", rules=shipped_rules(), start_ts=1000.0, max_record_bytes=1 << 20)

    def target(data: bytes) -> None:
        tally = Tally()
        for record in ingest(io.BytesIO(data), "input", name, options, tally):
            orjson.dumps(record.value)
        str(tally).encode()

    return target


# ---- running ----


def fuzz(name: str, folder: Path, seconds: int) -> int:
    """One target under libFuzzer, in this process, which it ends."""
    import atheris

    with atheris.instrument_imports(include=["endocrine"]):
        target = targets()[name]()
    folder.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", f"-timeout={INPUT_S}", f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={folder}/found-", "-print_final_stats=1", "-verbosity=0", str(folder / "corpus"),
    ]  # fmt: skip
    (folder / "corpus").mkdir(exist_ok=True)
    if (seeds := _SEEDS / name).is_dir():
        options.append(str(seeds))
    atheris.Setup([sys.argv[0], *options], target)
    atheris.Fuzz()
    return 0


def plain(name: str, seed: int, *, inputs: int | None = None, seconds: float | None = None) -> int:
    """The same property over so many mutated seeds, or for so long, without coverage; the count of inputs tried.

    How long one may take is held where `seconds` are given.
    """
    target, rng, tried = targets()[name](), random.Random(seed), 0
    begun = time.monotonic()
    for data in _mutated(name, rng):
        if tried == inputs or (seconds is not None and time.monotonic() - begun > seconds):
            return tried
        before = time.monotonic()
        try:
            target(data)
        except Exception:
            sys.stderr.write(f"{name}: input {data!r}\n")
            raise
        if seconds is not None and time.monotonic() - before > INPUT_S:
            raise TimeoutError(f"{name}: {time.monotonic() - before:.1f} s for input {data!r}")
        tried += 1
    return tried


def _mutated(name: str, rng: random.Random) -> Iterator[bytes]:
    seeds = [path.read_bytes() for path in sorted((_SEEDS / name).glob("*"))] or [b"{}", b"x"]
    while True:
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(0, 6)):
            at = rng.randrange(len(data) + 1)
            other = rng.choice(seeds)
            start = rng.randrange(len(other) + 1)
            with_what = [
                bytes([rng.randrange(256)]),
                b"",
                other[start : start + 30],
                data[at : at + 10] * 3,
                rng.choice(_PARTS),
            ]
            data[at : at + rng.randint(0, 4)] = rng.choice(with_what)
        yield bytes(data[:MOST_BYTES])


_PARTS = [b"\x00", b"\xff", b"null", b"NaN", b"1e999", b"[" * 300, b'{"a":' * 100, b'"\\ud800"', b"-1", b"9" * 400,
          b"\n", b"&#" + b"9" * 4400, b"[]", b"{}", b'""', b"true"]  # fmt: skip


def main() -> int:
    """The command line: every target in turn, or those that are named. Exit code 1: something was found."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("names", nargs="*", help=f"of {', '.join(targets())}; all without")
    ask.add_argument("--seconds", type=int, default=60, help="for each target")
    ask.add_argument("--plain", action="store_true", help="without atheris and without coverage")
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--folder", type=Path, default=Path(".endocrine") / "fuzz-code")
    ask.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = ask.parse_args()
    if unknown := set(given.names) - set(targets()):
        ask.error(f"{sorted(unknown)}: expected some of {', '.join(targets())}")
    if given.one:
        return fuzz(given.names[0], (given.folder / given.names[0]).absolute(), given.seconds)
    found = []
    for name in given.names or targets():
        if given.plain:
            print(f"{name}: {plain(name, given.seed, seconds=given.seconds)} inputs", flush=True)
            continue
        program = [
            sys.executable,
            __file__,
            name,
            "--one",
            "--seconds",
            str(given.seconds),
            "--folder",
            str(given.folder),
        ]
        done = subprocess.run(
            program, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True, check=False
        )
        (given.folder / f"{name}.log").write_text(done.stdout + done.stderr)
        runs = next((line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line), "?")
        print(
            f"{name}: {runs} inputs, {'FOUND, see ' + str(given.folder / name) if done.returncode else 'held'}",
            flush=True,
        )
        found += [name] if done.returncode else []
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
