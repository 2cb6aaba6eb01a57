"""Reading bytes as a format, all the way to lines."""

import io
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from pipeline.ingest.model import Options, Tally
from pipeline.ingest.run import Stopped, ingest, shipped_rules
from pipeline.topics import CATALOGUE

DATA = Path(__file__).parents[2] / "data" / "ingest"
RULES = shipped_rules()


@pytest.fixture(scope="session")
def data():
    return DATA


@pytest.fixture(scope="session")
def read():
    """read(bytes or str, format) -> lines, tally, refusals as text, whether it was stopped. Every line is validated."""

    def run(source, format_name, *, identity=None, strict=False, start_ts=1000.0, max_record_bytes=1 << 20):
        raw = source.encode() if isinstance(source, str) else source
        tally, refusals, lines, stopped = Tally(), [], [], False
        options = Options(identity, RULES, start_ts, max_record_bytes)
        records = ingest(io.BytesIO(raw), "in", format_name, options, tally, refusals.append, strict=strict)
        try:
            for record in records:
                line = record.line()
                CATALOGUE[line["topic"]].adapter.validate_json(orjson.dumps(line["value"]))
                lines.append(line)
        except Stopped:
            stopped = True
        assert tally.refused == len(refusals)
        assert tally.records == len(lines) or stopped
        values = [line["value"] for line in lines]
        return SimpleNamespace(
            lines=lines,
            values=values,
            prompts=[v["prompt"] for v in values if v.get("kind") == "opened"],
            responses=[v["response"] for v in values if v.get("kind") == "closed"],
            tally=tally,
            skipped=dict(tally.skipped),
            noted=dict(tally.noted),
            refusals=[str(r) for r in refusals],
            stopped=stopped,
        )

    return run
