"""A subject whose every field of content holds one text, and where that text is found: topics, outboxes, Redis."""

import secrets
import time

import orjson
import redis.asyncio as redis

from endocrine.agents.registry import AGENTS
from endocrine.pipeline.core.outbox import decode_outbox
from endocrine.pipeline.kafka.topic_layout import physical_topics
from endocrine.pipeline.kafka.topic_reader import batches


class Canary:
    """A subject, and a text that every field of content of its records holds."""

    def __init__(self):
        mark = secrets.token_hex(6)
        self.text, self.name, self.other = f"canary{mark}", f"who-{mark}", f"other-{mark}"
        self.project = f"p-{mark}"
        self.needles = self.text.encode(), self.name.encode()

    def lines(self):
        """What doors and people write about it, and what is wrong."""
        now, text, count = time.time() - 100.0, self.text, 0
        lines = []

        def add(topic, **value):
            nonlocal count
            count += 1
            whose = {} if topic == "observations" else {"identity": self.name}
            named = f"in-{count}-{text if value.get('identity_ref') != self.other else self.other}"
            lines.append({"topic": topic, "value": {"id": named, "ts": now + count, **whose, **value}})

        def command(kind, **value):
            add("commands", kind=kind, by="op", **value)

        def seen(whose, primitive, value):
            add("observations", identity_ref=whose, primitive=primitive, value=value, confidence=0.9, source="test",
                v=1, window={"start_ts": now, "end_ts": now + 1})  # fmt: skip

        turn = {"audit_id": f"turn-{text}"}
        add("interactions", **turn, kind="opened", session_id=f"s-{text}", turn=1, client="c", project=self.project,
            prompt=f"{text} asks", context_pack=text)  # fmt: skip
        add("images", digest="0" * 64, piece=0, pieces=1, data=text)
        add("tool-calls", **turn, call_id=f"call-{text}", tool="search", arguments={"query": text}, step=1)
        add("tool-results", **turn, call_id=f"call-{text}", tool="search", status="ok", duration_ms=3,
            args_summary=text, output=text)  # fmt: skip
        closed = {"response": f"## Decision: pad: {text}", "response_summary": text}
        add("interactions", **turn, kind="closed", **closed, usage={"input_tokens": 3, "output_tokens": 4})
        add("feedback", target_action_id=turn["audit_id"], rating=5, note=text, tags=[text])
        add("signals", name="stress", level=0.4, ttl_ms=1000, source=text)
        add("detections", phase=text[:20], risk_level="low", turn_count=1, ulm={text: 0.5})
        command("add_note", text=text)
        command("state_set", category="fact", key="town", value=text)
        command("memory_create", type="knowledge", content=f"{text} likes tea", slot="pad")
        command("memory_create", type="knowledge", content=f"{text} likes oak", slot="pad")
        command("memory_extract", identity=f"project:{self.project}", audit_id=turn["audit_id"],
                text=f"## Fact: the pad is {text}", project=self.project, turn_identity=self.name)  # fmt: skip
        for whose in (self.name, self.other):
            seen(whose, "toolchain.tls.jarm_server", "shown by both")
        seen(self.name, "motor.input_modality", text)
        add("signals", name=text, level="much")  # a dead letter
        return lines

    async def also_memories(self, settings):
        """From here on the ids of memories of its project, which are from it alone, count as well."""
        async for _, _, records in batches(settings, ["candidates"]):
            for raw in records:
                if self.found_in(raw.value):
                    self.needles += (orjson.dumps(orjson.loads(raw.value)["memory_id"]),)

    def found_in(self, *contents):
        return any(needle in content for needle in self.needles for content in contents if content)


async def on_topics(settings, canary):
    """Topic, partition and offset of every record that holds it: key, value, headers, and outboxes of changelogs."""
    names = [topic.name.removeprefix(settings.prefix)
             for topic in physical_topics(settings, [agent.name for agent in AGENTS])]  # fmt: skip
    found = set()
    async for topic, partition, records in batches(settings, names):
        for raw in records:
            contents = [raw.key, raw.value, *(content for _, content in raw.headers)]
            if topic.startswith("changelog.") and raw.key[:1] == b"o" and raw.value:
                contents += [
                    part
                    for one in decode_outbox(raw.value).records
                    for part in (one.key, one.value, *(content for _, content in one.own))
                ]
            if canary.found_in(*contents):
                found.add((topic, partition, raw.offset))
    return found


async def in_redis(url, canary, db=12):
    """Keys of Redis that hold it."""
    found = set()
    async with redis.from_url(url, db=db) as client:
        async for key in client.scan_iter(count=1000):
            if canary.found_in(key, await client.dump(key)):
                found.add(key)
    return found
