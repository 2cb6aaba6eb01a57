"""Life for the pages about people: what waits for a person, memories, a conflict, a bond, evidence of a link."""

import hashlib
import time
import uuid
from collections.abc import Mapping
from typing import Any

from gateway_serving import Door
from waiting import until_answer

HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>{{7*7}}'
POLICY: Mapping[str, Any] = {"tools": {"retrieval": {"approval": {"when": True}}}, "review": {"hold_at": 0.9}}
"""Every search in the knowledge base waits for a person, and so does a turn of high risk."""


async def live(door: Door) -> None:
    """Do all of it, and wait until the read models have it."""
    async with door.client() as client:

        async def post(path: str, **body: Any) -> Any:
            answer = await client.post(path, json=body)
            assert answer.status_code < 300, (path, answer.text)
            return answer.json()

        opened = await post("/v1/turns", identity="ann", prompt=f"Hello {HOSTILE}")
        for name in ("c1", "c2"):
            call = {"identity": "ann", "audit_id": opened["audit_id"], "call_id": name}
            await post("/v1/tool-calls", **call, tool="retrieve_knowledge", arguments={"query": f"{name} {HOSTILE}"})
        risky = [{"name": "alignment_risk", "level": 0.95}]
        await post("/v1/turns", identity="bob", prompt=f"Risky {HOSTILE}", signals=risky)
        for content in ("prefers tabs", "prefers blanks", HOSTILE):
            await _remember(client, content=content, type="preference", status="candidate")
        for content in ("drink: tea", f"drink: {HOSTILE}"):
            await _remember(client, content=content, type="knowledge", slot="drink")
        state = {"category": "status", "key": "phase", "value": f"early {HOSTILE}"}
        await client.post("/v1/trusted/ann", params={"wait": 30}, json=state)
        await client.post("/v1/trusted/ann", params={"wait": 30}, json=state | {"value": "late"})
        for phase in ("bonding", "bonded"):
            await post("/v1/detections", identity="ann", phase=phase, risk_level="low", turn_count=1, ulm={"n": 0.5})
        await post("/v1/commands/note", identity="ann", text=f"Note {HOSTILE}")
        await post("/v1/feedback", identity="ann", target_action_id=opened["audit_id"], rating=2, note=HOSTILE)
        await post("/v1/names", scope="identity", name="ann", registered_id="ann")
        for who in ("ann", "bob", HOSTILE):
            await _observed(client, who)

        async def settled() -> Any:
            linked = (await client.get("/v1/identities/ann/links")).json()
            conflicts = (await client.get("/v1/conflicts", params={"subject": "ann"})).json()
            bond = (await client.get("/v1/bonds/ann")).json()
            return linked["items"], conflicts["items"], bond.get("phase"), bond.get("notes")

        await until_answer(settled, lambda found: found[0] and found[1] and found[2] == "bonded" and found[3], 300)


async def _remember(client: Any, **body: Any) -> None:
    answer = await client.post("/v1/memories", params={"wait": 30}, json={"subject": "ann", **body})
    assert answer.status_code == 200, answer.text


async def _observed(client: Any, who: str) -> None:
    """Several values of a primitive, and the same evidence for all."""
    value = hashlib.sha256(b"one actor").hexdigest()[:16]
    seen = [("motor.input_modality", one) for one in ("typed", "pasted", "typed", "typed")]
    seen += [("motor.digraph_simhash", value), ("toolchain.c2.c2_callback_endpoint", value)]
    for primitive, what in seen:
        now = time.time()
        body = {"identity_ref": who, "primitive": primitive, "value": what, "confidence": 1.0, "source": "test",
                "window": {"start_ts": now, "end_ts": now}, "id": uuid.uuid4().hex}  # fmt: skip
        answer = await client.post("/v1/observations", json=body)
        assert answer.status_code == 202, answer.text
