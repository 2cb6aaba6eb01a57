"""`endocrine audit keygen|checkpoint|verify` over a broker."""

import asyncio
import hashlib
import json

import orjson
import pytest
import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from typer.testing import CliRunner

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.cli import audit
from endocrine.pipeline.core.hash_chain import Chains, link_hash
from endocrine.pipeline.core.records import Fetched
from endocrine.pipeline.core.seals import KeyedSeals
from endocrine.pipeline.kafka.admin import ensure_topics
from endocrine.pipeline.process.policy_files import shipped_policy
from endocrine.pipeline.process.seal_keys import make_key_file, read_keys
from endocrine.pipeline.replay.audit_chain.broker import read_book
from endocrine.pipeline.replay.audit_chain.keys import load_public
from endocrine.pipeline.replay.audit_chain.verify import of
from endocrine.pipeline.replay.logs import read_logs
from running import at_rest, worker_in_process

D = "0" * 64


class Desk:
    """The commands on this test's topics, and a writer of chained records."""

    def __init__(self, settings, folder):
        self.settings, self.folder = settings, folder
        self.chains = {n: Chains(None) for n in range(settings.partitions)}
        self.previous = None
        self.batches = 0
        self.seals = None
        asyncio.run(ensure_topics(settings, ["audit"]))

    def call(self, *arguments):
        app = typer.Typer()
        app.callback()(lambda: None)
        audit.register(app)
        env = {
            "ENDOCRINE_BOOTSTRAP": self.settings.bootstrap,
            "ENDOCRINE_PREFIX": self.settings.prefix,
            "ENDOCRINE_PARTITIONS": str(self.settings.partitions),
        }
        if self.seals is not None:
            env["ENDOCRINE_SEAL_KEY_FILE"] = str(self.folder / "seal.keys")
        return CliRunner().invoke(app, ["audit", *map(str, arguments)], env=env)

    def verify(self, *arguments):
        result = self.call("verify", "--json", *arguments)
        assert result.exit_code in (0, 1), result.stderr
        report = json.loads(result.stdout)
        assert report["sound"] == (result.exit_code == 0)
        return report

    def key(self, name="key.pem"):
        """(private key file, public key file)."""
        private, public = self.folder / name, self.folder / f"{name}.pub"
        made = self.call("keygen", private)
        assert made.exit_code == 0, made.stderr
        public.write_text(made.stdout)
        return private, public

    def seal(self):
        """From now on, what is sent carries a seal, and the commands have the key."""
        make_key_file(self.folder / "seal.keys")
        self.seals = KeyedSeals(read_keys(self.folder / "seal.keys"), self.settings.prefix)

    def send(self, *records, seal=None):
        """seal: content of a forged one; by default ours where there is a key, else none."""

        async def all_of_them():
            producer = AIOKafkaProducer(bootstrap_servers=self.settings.bootstrap)
            await producer.start()
            for topic, partition, key, value, name in records:
                content = seal
                if seal is None and self.seals is not None:
                    content = self.seals.seal(topic, partition, key, value, name)
                headers = [("ce_id", name), *([("endocrine-seal", content)] if content else [])]
                await producer.send_and_wait(
                    self.settings.prefix + topic, value, key=key, partition=partition, headers=headers
                )
            await producer.stop()

        asyncio.run(all_of_them())

    def bundles(self, *names, partition=0):
        made = []
        for name in names:
            record = self.chains[partition].linked("audits", {"identity": "ann", "audit_id": name, "ts": 1.5})
            made.append(("audits", partition, b"ann", orjson.dumps(record), f"audit/{name}/0".encode()))
        self.send(*made)
        return made

    def journal(self, count=1):
        made = []
        for _ in range(count):
            self.batches += 1
            entry = {
                "agent": "gating", "partition": 0, "batch": self.batches, "runs": [["signals", self.batches, 1]],
                "inputs": D, "previous": self.previous, "policy": D, "version": "1", "claim": 0,
            }  # fmt: skip
            value = orjson.dumps(entry)
            self.previous = hashlib.sha256(value).hexdigest()
            made.append(("journal", 0, b"gating/0", value, f"journal/gating/0/{self.batches}".encode()))
        self.send(*made)
        return made


@pytest.fixture
def desk(settings, tmp_path, only_needed_topics):
    return Desk(settings.model_copy(update={"partitions": 2}), tmp_path)


def test_checkpoints_go_on_from_each_other_and_what_stands_there_is_sound(desk):
    private, public = desk.key()
    kept = desk.folder / "kept.jsonl"
    desk.bundles("a1", "a2")
    desk.bundles("b1", partition=1)
    desk.journal(2)
    first = desk.call("checkpoint", "--key", private, "--output", kept)
    assert first.exit_code == 0, first.stderr
    assert "/1: 3 audits, 2 journal records" in first.stdout
    copies = desk.bundles("a3")
    desk.send(*copies)
    desk.journal()
    second = desk.call("checkpoint", "--key", private, "--output", kept, "--json")
    record = json.loads(second.stdout)
    assert (record["number"], [end["count"] for end in record["audits"]]) == (2, [3, 1])
    assert [(end["agent"], end["batch"]) for end in record["journal"]] == [("gating", 3)]
    assert "nothing moved" in desk.call("checkpoint", "--key", private).stderr
    desk.bundles("a4")
    report = desk.verify("--public-key", public)
    assert report["sound"]
    assert (report["records"], report["copies"], report["checkpoints"], report["signatures"]) == (9, 1, 2, 2)
    assert "audits/0: 1 records after the last checkpoint are chained, not signed yet" in report["not_checked"]
    assert desk.verify("--public-key", public, "--checkpoints", kept, "--partition", 1)["sound"]
    assert len(kept.read_text().splitlines()) == 2


def test_a_changed_record_is_named_and_nothing_is_signed_over_it(desk):
    private, public = desk.key()
    desk.bundles("a1")
    assert desk.call("checkpoint", "--key", private).exit_code == 0
    record = desk.chains[0].linked("audits", {"identity": "ann", "audit_id": "a2", "ts": 1.5})
    desk.send(("audits", 0, b"ann", orjson.dumps({**record, "ts": 2.5}), b"audit/a2/0"))
    result = desk.call("verify", "--public-key", public)
    assert result.exit_code == 1
    assert "first broken: audits/0/1 (a2): its content is not what its hash was made of" in result.stdout
    assert result.stdout.splitlines()[-1] == "BROKEN"
    refused = desk.call("checkpoint", "--key", private)
    assert refused.exit_code == 1
    assert "nothing was signed" in refused.stderr
    assert desk.verify()["checkpoints"] == 1


def test_a_forked_chain_is_found_though_every_hash_fits(desk):
    desk.bundles("a1", "a2")
    fork = {"identity": "ann", "audit_id": "a9", "ts": 1.5, "previous": None}
    fork["hash"] = link_hash(fork)
    desk.send(("audits", 0, b"ann", orjson.dumps(fork), b"audit/a9/0"))
    first = desk.verify()["first"]
    assert (first["topic"], first["offset"], first["name"]) == ("audits", 2, "a9")


def test_what_a_stranger_puts_between_breaks_no_chain_and_a_changed_record_does(desk):
    private, public = desk.key()
    desk.seal()
    desk.bundles("a1", "a2")
    desk.journal()
    fork = {"identity": "ann", "audit_id": "a9", "ts": 1.5, "previous": None}
    fork["hash"] = link_hash(fork)
    junk = [("audits", 0, b"ann", orjson.dumps(fork), b"audit/a9/0"), ("journal", 0, b"gating/0", b"{}", b"x")]
    known = desk.seals.seal("audits", 0, b"", b"", b"").partition(b":")[0]
    for seal in (b"", known + b":" + b"0" * 32, b"other:" + b"0" * 32):
        desk.send(*junk, seal=seal)
    assert desk.call("checkpoint", "--key", private).exit_code == 0
    desk.bundles("a3")
    report = desk.verify("--public-key", public)
    assert (report["sound"], report["records"], report["foreign"]) == (True, 4, 6)
    assert any("6 records without a seal of ours" in sentence for sentence in report["not_checked"])
    record = desk.chains[0].linked("audits", {"identity": "ann", "audit_id": "a4", "ts": 1.5})
    kept = desk.seals.seal("audits", 0, b"ann", orjson.dumps(record), b"audit/a4/0")
    desk.send(("audits", 0, b"ann", orjson.dumps({**record, "ts": 2.5}), b"audit/a4/0"), seal=kept)
    desk.bundles("a5")
    assert not desk.verify("--public-key", public)["sound"]


def test_checkpoints_kept_in_a_file_tell_when_all_topics_were_made_anew(desk, settings):
    private, public = desk.key()
    kept = desk.folder / "kept.jsonl"
    desk.bundles("a1", "a2")
    assert desk.call("checkpoint", "--key", private, "--output", kept).exit_code == 0
    anew = settings.model_copy(update={"partitions": 2, "prefix": settings.prefix + "anew."})
    other = Desk(anew, desk.folder)
    other.bundles("a1")
    assert other.verify()["sound"]
    report = other.verify("--public-key", public, "--checkpoints", kept)
    assert not report["sound"]
    assert "cut off" in report["first"]["told"]


def test_a_rotated_key_is_verified_with_both_public_keys_and_said_to_be_unknown_with_one(desk):
    old, new = desk.key("old.pem"), desk.key("new.pem")
    desk.bundles("a1")
    assert desk.call("checkpoint", "--key", old[0]).exit_code == 0
    desk.bundles("a2")
    assert desk.call("checkpoint", "--key", new[0]).exit_code == 0
    both = desk.verify("--public-key", old[1], "--public-key", new[1])
    assert (both["sound"], both["signatures"]) == (True, 2)
    one = desk.verify("--public-key", new[1])
    assert one["sound"]
    assert any("1 checkpoints of key" in told for told in one["not_checked"])


def test_what_cannot_be_done_ends_with_exit_code_2_and_a_sentence(desk):
    private, public = desk.key()
    assert desk.call("keygen", private).exit_code == 2
    assert "exists already" in desk.call("keygen", private).stderr
    assert private.stat().st_mode & 0o777 == 0o600
    assert desk.call("checkpoint").exit_code == 2
    wrong = desk.call("verify", "--public-key", private)
    assert (wrong.exit_code, "no public key" in wrong.stderr) == (2, True)
    away = desk.call("verify", "--bootstrap", "127.0.0.1:1")
    assert away.exit_code == 2
    assert "Traceback" not in away.stderr
    private.chmod(0o644)
    assert "chmod 600" in desk.call("checkpoint", "--key", private).stderr
    assert "no partition 7" in desk.call("verify", "--partition", 7, "--public-key", public).stderr


async def test_what_two_workers_write_is_sound_and_a_changed_byte_in_any_record_is_named(settings, tmp_path):
    """The real agents, two workers one after the other, checkpoints in between."""
    mine = settings.model_copy(update={"partitions": 2})
    desk = await asyncio.to_thread(Desk, mine, tmp_path)
    private, public = await asyncio.to_thread(desk.key)
    producer = AIOKafkaProducer(bootstrap_servers=mine.bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=mine.bootstrap)
    await producer.start()
    await consumer.start()
    for life in range(2):
        async with worker_in_process(mine, AGENTS, shipped_policy()) as worker:
            for number, who in enumerate(("ann", "bob", "cyd")):
                turn = {"audit_id": f"t{life}{number}", "identity": who, "ts": 10.0 * life + number}
                for value in (
                    {**turn, "kind": "opened", "session_id": "s", "turn": life, "client": "c", "prompt": "Hello?"},
                    {**turn, "kind": "closed", "response": "Hello."},
                ):
                    await producer.send_and_wait(mine.prefix + "interactions", orjson.dumps(value), key=who.encode())
            await at_rest(worker, consumer)
            signed = await asyncio.to_thread(desk.call, "checkpoint", "--key", private)
            assert signed.exit_code == 0, signed.stderr
    await producer.stop()
    await consumer.stop()
    report = await asyncio.to_thread(desk.verify, "--public-key", public)
    assert report["sound"], report["findings"]
    assert (report["checkpoints"], report["signatures"]) == (2, 2)
    assert report["chains"] >= len(AGENTS)
    logs = await read_logs(mine, ["audits", "journal"])
    records = [(topic, raw) for (topic, _), log in logs.items() for raw in log]
    assert {topic for topic, _ in records} == {"journal", "audits"}
    book = await read_book(mine, load_public([public]))
    ends = {place: len(log) for place, log in logs.items()}
    assert of(records, book, ends).sound
    for place, (topic, raw) in enumerate(records):
        value = raw.value[:-3] + bytes([raw.value[-3] ^ 1]) + raw.value[-2:]
        changed = Fetched(raw.partition, raw.offset, raw.timestamp, raw.key, value, raw.headers)
        report = of([*records[:place], (topic, changed), *records[place + 1 :]], book, ends)
        found = {(finding.topic, finding.partition, finding.offset) for finding in report.findings}
        assert (topic, raw.partition, raw.offset) in found, (topic, raw.partition, raw.offset, report.findings)
