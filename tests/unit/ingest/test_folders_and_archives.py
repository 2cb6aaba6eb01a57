"""Inputs of more than one file: folders, shards, zip archives, and what an archive must not be able to do."""

import io
import os
import struct
import threading
import zipfile
from functools import partial

import orjson
import pytest

from endocrine.pipeline.data.ingest import source
from endocrine.pipeline.data.ingest.rewound import Rewound
from endocrine.pipeline.data.ingest.source import Unusable, open_sources

ASK = "How do I sort a list of numbers?"


def chat(number, prompt=ASK, ts=1.7e9):
    message = {"author": {"role": "user"}, "create_time": ts + number, "content": {"parts": [f"{prompt} {number}"]}}
    return {
        "conversation_id": f"c{number}",
        "current_node": "n",
        "mapping": {"n": {"parent": None, "message": message}},
    }


def shard(*numbers):
    return orjson.dumps([chat(number) for number in numbers])


def prompts(*numbers):
    return [f"{ASK} {number}" for number in numbers]


def zipped(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
    return path


def test_shards_of_a_folder_are_one_export_in_the_order_of_time(read_path, tmp_path):
    for number, name in enumerate(["conversations-010.json", "conversations-002.json", "conversations-000.json"]):
        (tmp_path / name).write_bytes(shard(number, number + 10))
    (tmp_path / "chat.html").write_text("<html></html>")
    (tmp_path / "message_feedback.json").write_text("[]")
    got = read_path(tmp_path, "chatgpt-export")
    assert got.prompts == prompts(0, 1, 2, 10, 11, 12)
    assert got.files == {"read": 3, "a page (HTML)": 1, "no chat: part of an export": 1}


def test_a_conversation_in_two_shards_is_there_once(read_path, tmp_path):
    (tmp_path / "conversations-000.json").write_bytes(shard(1, 2))
    (tmp_path / "conversations-001.json").write_bytes(shard(2, 3))
    got = read_path(tmp_path, "auto")
    assert got.prompts == prompts(1, 2, 3)
    assert got.skipped == {"duplicate": 1}


@pytest.mark.parametrize("format_name", ["auto", "chatgpt-export"])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2])
def test_an_archive_is_read_as_its_files_are(read_path, tmp_path, format_name, method):
    members = {"conversations-000.json": shard(1), "deep/er/conversations-001.json": shard(2), "chat.html": "<html>"}
    got = read_path(zipped(tmp_path / "export.zip", members, method), format_name)
    assert got.prompts == prompts(1, 2)
    assert got.files["read"] == 2
    inside = tmp_path / "folder"
    inside.mkdir()
    zipped(inside / "export.bin", members, method)
    assert read_path(inside, format_name).lines == got.lines


def test_the_files_of_macs_and_of_version_control_are_passed_over(read_path, tmp_path):
    members = {
        "__MACOSX/._conversations.json": b"\0\5\x16\7",
        "conversations.json": shard(1),
        ".DS_Store": b"\0\0\0\1Bud1",
    }
    assert read_path(zipped(tmp_path / "e.zip", members)).files == {"read": 1}
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "conversations.json").write_bytes(shard(2))
    assert read_path(tmp_path).prompts == prompts(1)


@pytest.mark.parametrize("name", ["../conversations.json", "/etc/conversations.json", "a/../../c.json", "C:\\c.json"])
def test_a_name_that_leads_out_of_the_archive_is_refused_and_writes_nothing(read_path, tmp_path, name):
    path = zipped(tmp_path / "export.zip", {name: shard(1), "conversations.json": shard(2)})
    before = sorted(tmp_path.parent.rglob("*"))
    got = read_path(path)
    assert got.prompts == prompts(2)
    assert "leads out of the archive" in got.refusals[0]
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_an_archive_that_would_unpack_to_too_much_is_refused_before_it_is_read(read_path, tmp_path, monkeypatch):
    bomb = zipped(tmp_path / "bomb.zip", {"conversations.json": b"[" + b" " * (17 << 20) + b"]", "more.json": shard(1)})
    got = read_path(bomb)
    assert got.prompts == prompts(1)
    assert "more than 200 times its size" in got.refusals[0]
    monkeypatch.setattr(source, "MAX_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(Unusable, match="would unpack to"):
        list(open_sources(str(bomb)))
    monkeypatch.setattr(source, "MAX_FILES", 1)
    with pytest.raises(Unusable, match="holds 2 files; expected at most 1"):
        list(open_sources(str(bomb)))


def test_an_archive_that_lies_about_a_size_is_stopped_at_that_size(read_path, tmp_path):
    path = zipped(tmp_path / "liar.zip", {"conversations.json": shard(*range(200)), "other.json": shard(500)})
    raw = bytearray(path.read_bytes())
    at = raw.index(b"PK\1\2")
    raw[at + 24 : at + 28] = struct.pack("<I", 50)
    path.write_bytes(raw)
    got = read_path(path)
    assert prompts(500)[0] in got.prompts
    assert len(got.prompts) < 100
    assert got.refusals


def test_an_archive_within_an_archive_is_not_opened(read_path, tmp_path):
    inner = zipped(tmp_path / "inner.zip", {"conversations.json": shard(1)}).read_bytes()
    got = read_path(zipped(tmp_path / "outer.zip", {"inner.zip": inner, "conversations.json": shard(2)}))
    assert got.prompts == prompts(2)
    assert got.files == {"read": 1, "a zip archive": 1}


def test_an_encrypted_member_and_a_broken_one_cost_themselves(read_path, tmp_path):
    path = zipped(tmp_path / "e.zip", {"a.json": shard(1), "b.json": shard(2)})
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(raw)
    got = read_path(path)
    assert got.prompts == prompts(2)
    assert "e.zip!a.json: is encrypted" in got.refusals[0]
    broken = zipped(tmp_path / "f.zip", {"a.json": shard(*range(50)), "b.json": shard(99)})
    raw = bytearray(broken.read_bytes())
    raw[60:90] = b"\xff" * 30
    broken.write_bytes(raw)
    got = read_path(broken)
    assert prompts(99)[0] in got.prompts
    assert "f.zip!a.json: " in got.refusals[0]


def test_an_archive_cut_off_cannot_be_used_alone_and_is_refused_in_a_folder(read_path, tmp_path):
    path = zipped(tmp_path / "e.zip", {"conversations.json": shard(1)})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(Unusable, match="cannot be read"):
        list(open_sources(str(path)))
    (tmp_path / "conversations.json").write_bytes(shard(2))
    got = read_path(tmp_path)
    assert got.prompts == prompts(2)
    assert "e.zip: is a zip archive that cannot be read" in got.refusals[0]


def test_an_archive_comes_through_a_pipe_as_well(tmp_path, monkeypatch, read_path):
    raw = zipped(tmp_path / "e.zip", {"conversations.json": shard(1)}).read_bytes()
    for given in (raw, shard(1)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert read_path("-").prompts == prompts(1)


def test_a_named_pipe_is_opened_once(read_path, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(shard(1)), daemon=True)
    writer.start()
    assert read_path(pipe).prompts == prompts(1)
    writer.join(10)


def test_a_folder_is_read_whole_by_name_and_links_out_of_it_are_not_followed(read_path, tmp_path):
    inside = tmp_path / "inside"
    (inside / "deep").mkdir(parents=True)
    (tmp_path / "outside.json").write_bytes(shard(9))
    (inside / "deep" / "conversations.json").write_bytes(shard(1))
    (inside / "out.json").symlink_to(tmp_path / "outside.json")
    (inside / "loop").symlink_to(inside)
    assert read_path(inside).prompts == prompts(1)
    (inside / "nothing").mkdir()
    with pytest.raises(Unusable, match="holds no file"):
        read_path(inside / "nothing")


def test_a_name_that_is_not_utf8_is_shown_all_the_same(read_path, tmp_path):
    path = os.fsencode(tmp_path) + b"/conv\xff.json"
    try:
        with open(path, "wb") as file:
            file.write(shard(1))
    except OSError:
        pytest.skip("this file system takes no such name")
    assert read_path(tmp_path).prompts == prompts(1)


@pytest.mark.parametrize("size", [-1, 1, 3, 5, 100])
def test_a_stream_read_ahead_gives_all_it_has(size):
    raw = b"first\nsecond\n\nlast"

    def ahead_by(count):
        stream = io.BytesIO(raw)
        return Rewound(stream.read(count), stream)

    for count in range(len(raw)):
        assert b"".join(iter(partial(ahead_by(count).readline, size), b"")) == raw
        assert b"".join(iter(partial(ahead_by(count).read, size), b"")) == raw
        assert list(iter(ahead_by(count).readline, b"")) == raw.splitlines(keepends=True)
