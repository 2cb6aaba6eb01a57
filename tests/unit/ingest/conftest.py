"""Reading bytes as a format, all the way to lines."""

import io
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
import typer
from typer.testing import CliRunner

from endocrine.pipeline.cli.ingest import register
from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.data.ingest.model import Options, Tally
from endocrine.pipeline.data.ingest.run import Stopped, ingest, ingest_sources, shipped_rules
from endocrine.pipeline.data.ingest.source import open_sources

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
        return summary(lines, tally, refusals, stopped)

    return run


def summary(lines, tally, refusals, stopped=False):
    values = [line["value"] for line in lines]
    return SimpleNamespace(
        lines=lines,
        values=values,
        prompts=[v["prompt"] for v in values if v.get("kind") == "opened"],
        responses=[v["response"] for v in values if v.get("kind") == "closed"],
        tally=tally,
        skipped=dict(tally.skipped),
        noted=dict(tally.noted),
        files=dict(tally.files),
        refusals=[str(r) for r in refusals],
        stopped=stopped,
    )


@pytest.fixture
def read_path():
    """read_path(path, format) -> as `read`, of a file, folder or archive."""

    def run(path, format_name="auto", *, identity=None, strict=False):
        tally, refusals = Tally(), []
        options = Options(identity, RULES, 1000.0, 1 << 20)
        sources = open_sources(str(path))
        records = ingest_sources(sources, format_name, options, tally, refusals.append, strict=strict)
        return summary([record.line() for record in records], tally, refusals)

    return run


@pytest.fixture
def read_files(read_path, tmp_path):
    """read_files(format, name=bytes, ...) -> as `read`, of a folder with these files, read in the order given."""

    def run(format_name="auto", **files):
        folder = tmp_path / f"folder-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for number, (name, raw) in enumerate(files.items()):
            (folder / f"{number:03d}-{name}").write_bytes(raw)
        return read_path(folder, format_name)

    return run


@pytest.fixture
def run():
    """Run `endocrine ingest ...`; the result of Click."""
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return lambda *arguments, **more: CliRunner().invoke(app, ["ingest", *map(str, arguments)], **more)
