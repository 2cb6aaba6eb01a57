"""Rows and files of an export: one set of columns per topic, nothing lost, the same content in every format."""

import csv
import io

import orjson
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endocrine.pipeline.core.catalogue import CATALOGUE
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.simulation import parse_line
from endocrine.pipeline.data.export.columns import columns_of, fields_of, known
from endocrine.pipeline.data.export.rows import Rows
from endocrine.pipeline.data.export.writers import FORMATS, ExportError

SIGNAL = {"identity": "ann", "name": "stress", "level": 1, "ttl_ms": 800, "source": "pröbe", "ts": 1.5}


def raw(value, *, key=b"ann", headers=(), offset=3):
    body = value if isinstance(value, bytes) or value is None else orjson.dumps(value)
    return Fetched(1, offset, 1500, key, body, headers)


def written(form, topic, *records):
    file = io.BytesIO()
    writer = FORMATS[form](file, columns_of(topic))
    rows = Rows(topic)
    writer.write([rows.row(record) for record in records])
    writer.close()
    return file.getvalue()


def parquet(topic, *records):
    return pyarrow.parquet.read_table(io.BytesIO(written("parquet", topic, *records)))


@pytest.mark.parametrize("topic", [*CATALOGUE, "signals.dlq"])
def test_every_topic_has_columns_without_doubles_and_can_be_written_empty(topic):
    names = [name for name, _ in columns_of(topic)]
    assert len(names) == len(set(names))
    assert known(topic)
    for form in FORMATS:
        assert isinstance(written(form, topic), bytes)


def test_fields_have_the_types_of_their_schema():
    assert fields_of("signals") == {
        "id": "text", "identity": "text", "name": "text", "level": "float", "ttl_ms": "int", "source": "text",
        "audit_id": "text", "ts": "float",
    }  # fmt: skip
    assert fields_of("journal")["runs"] == "json"
    assert fields_of("observations")["value"] == "json"
    assert {"prompt", "response"} <= set(fields_of("interactions"))
    assert not known("journal.dlq")
    assert not known("changelog.bonds")


def test_one_record_in_each_format():
    record = raw(SIGNAL, headers=(("ce_id", b"s1"), ("bin", b"\xff")))
    table = parquet("signals", record)
    assert str(table.schema.field("append_time").type) == "timestamp[ms, tz=UTC]"
    (row,) = table.to_pylist()
    assert (row["topic"], row["partition"], row["offset"], row["key"], row["id"]) == ("signals", 1, 3, "ann", "s1")
    assert (row["value_level"], row["value_ttl_ms"], row["value_audit_id"]) == (1.0, 800, None)
    assert row["append_time"].timestamp() == 1.5
    assert orjson.loads(row["headers"]) == {"ce_id": "s1", "bin": "ff"}
    (line,) = csv.DictReader(io.StringIO(written("csv", "signals", record).decode()))
    assert (line["append_time"], line["value_source"], line["value_audit_id"]) == (
        "1970-01-01T00:00:01.500Z", "pröbe", "",
    )  # fmt: skip
    shown = orjson.loads(written("jsonl", "signals", record))
    assert "value_audit_id" not in shown
    assert shown["headers"] == {"ce_id": "s1", "bin": "ff"}


@pytest.mark.parametrize("topic", ["signals", "signals.dlq"])
def test_null_headers_stay_null_and_a_null_id_is_none(topic):
    record = raw(SIGNAL, headers=(("ce_id", None), ("mine", None)))
    (row,) = parquet(topic, record).to_pylist()
    shown = orjson.loads(written("jsonl", topic, record))
    assert row["id"] == shown["id"] == f"{topic}/1/3"
    assert orjson.loads(row["headers"]) == shown["headers"] == {"ce_id": None, "mine": None}


def test_what_a_schema_does_not_know_is_kept_beside_it():
    value = {**SIGNAL, "level": "high", "ttl_ms": 2**64 - 1, "mood": ["x"]}
    (row,) = parquet("signals", raw(value)).to_pylist()
    assert row["value_level"] is None
    assert orjson.loads(row["value_other"]) == {"level": "high", "mood": ["x"], "ttl_ms": 2**64 - 1}


@pytest.mark.parametrize(
    ("value", "shown", "encoding"),
    [(b"{broken", "{broken", "text"), (b"[1]", "[1]", "text"), (b"\xff\x00", "ff00", "hex"), (None, None, "none")],
)
def test_values_that_are_no_objects_are_kept_as_they_came(value, shown, encoding):
    for topic in ("signals", "signals.dlq"):
        (row,) = parquet(topic, raw(value)).to_pylist()
        assert (row["raw"], row["raw_encoding"]) == (shown, encoding)


def test_a_dead_letter_is_never_taken_apart():
    (row,) = parquet("signals.dlq", raw(SIGNAL)).to_pylist()
    assert orjson.loads(row["raw"]) == SIGNAL
    assert "value_level" not in row


@pytest.mark.parametrize("topic", ["signals", "signals.dlq"])
def test_what_is_exported_for_simulate_is_read_by_it_as_it_lay(topic):
    value = {**SIGNAL, "mood": ["x"], "level": 0.25}
    headers = (("ce_id", b"s1"), ("traceparent", None), ("endocrine-error", b"why"), ("endocrine-seal", b"k:1"))
    records = [raw(value, headers=headers), raw(b'["no object"]')]
    read = [parse_line(line) for line in written("simulate", topic, *records).splitlines()]
    assert [(line[0], line[1], orjson.loads(line[2]), line[3], line[4]) for line in read] == [
        ("signals", "ann", value, {"ce_id": "s1"}, 1500),
        ("signals", "ann", ["no object"], {}, 1500),
    ]


@pytest.mark.parametrize("value", [b"{broken", b"\xff\x00", None])
def test_what_simulate_cannot_read_is_named_and_not_exported_for_it(value):
    with pytest.raises(ExportError, match="signals/1/3 is no JSON"):
        written("simulate", "signals", raw(value))


def test_text_with_lines_and_quotes_survives_csv():
    record = raw({**SIGNAL, "source": 'a "b",\r\nc\n'})
    (line,) = csv.DictReader(io.StringIO(written("csv", "signals", record).decode(), newline=""))
    assert line["value_source"] == 'a "b",\r\nc\n'


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from([*SIGNAL, "mood"]), json_values), st.binary(max_size=4) | st.none())
def test_no_field_of_any_value_is_lost_in_parquet(value, key):
    (row,) = parquet("signals", raw(value, key=key)).to_pylist()
    other = orjson.loads(row["value_other"] or "{}")
    for name, content in value.items():
        found = other[name] if name in other else row[f"value_{name}"]
        assert found == content or (content is None and found is None)
    assert row["id"] == "signals/1/3"


@pytest.mark.parametrize("form", list(FORMATS))
def test_several_groups_make_one_file(form):
    file = io.BytesIO()
    writer = FORMATS[form](file, columns_of("signals"))
    rows = Rows("signals")
    for offset in range(3):
        writer.write([rows.row(raw(SIGNAL, offset=offset))])
    writer.close()
    if form == "parquet":
        read = pyarrow.parquet.ParquetFile(io.BytesIO(file.getvalue()))
        assert (read.num_row_groups, read.metadata.num_rows) == (3, 3)
    else:
        assert len(file.getvalue().splitlines()) == 3 + (form == "csv")


@pytest.mark.parametrize(("field", "content"), [("ttl_ms", True), ("level", False), ("ttl_ms", 1.5), ("name", 5)])
def test_a_field_of_another_type_is_not_turned_into_its_columns_type(field, content):
    (row,) = parquet("signals", raw({**SIGNAL, field: content})).to_pylist()
    assert row[f"value_{field}"] is None
    assert row["value_other"] == orjson.dumps({field: content}).decode()
