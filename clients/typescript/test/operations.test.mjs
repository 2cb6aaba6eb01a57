// What operators read and write: reads fail open, writes fail closed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Endocrine, Refused } from "@endocrine/client";

const UNAVAILABLE = { status: "unavailable", fail_open: true };

function answering(status, value) {
  const asked = [];
  const fetch = async (request) => {
    asked.push({ method: request.method, path: new URL(request.url).pathname + new URL(request.url).search,
      body: request.body === null ? null : await request.json(), key: request.headers.get("idempotency-key") });
    if (status === 0) throw new TypeError("away");
    return Response.json(value, { status });
  };
  return { asked, operate: new Endocrine({ url: "http://gateway.test", spool: null, fetch }).operate };
}

test("reads give what the gateway answers", async () => {
  const { asked, operate } = answering(200, { items: [] });
  assert.deepEqual(await operate.bonds({ phase: "bonded" }), { items: [] });
  await operate.bond("a/b");
  await operate.bondCheck("ann", 1.5);
  await operate.trustedState("project:p05", { all: "true" });
  assert.deepEqual(asked.map((one) => one.path), ["/v1/bonds?phase=bonded", "/v1/bonds/a%2Fb",
    "/v1/bonds/ann/check?at=1.5", "/v1/trusted/project%3Ap05?all=true"]);
});

test("reads fail open while the gateway is away, and are refused where nothing is there", async () => {
  for (const status of [0, 429, 503]) {
    assert.deepEqual(await answering(status, {}).operate.bond("ann"), UNAVAILABLE);
  }
  const { operate } = answering(404, { type: "/problems/not_found", detail: "no bond" });
  await assert.rejects(operate.bond("ann"), (error) => error instanceof Refused && error.reason === "not_found");
});

test("writes give their event", async () => {
  const { asked, operate } = answering(200, { id: "c", outcome: { kind: "set" } });
  const entry = { category: "fact", key: "k", value: "v" };
  assert.equal((await operate.stateSet("project:p05", entry)).outcome.kind, "set");
  await operate.setCap("ann", 0);
  await operate.stateInvalidate("ann", "fact", "k", "over", 9);
  assert.deepEqual(asked.map((one) => [one.method, one.path]), [
    ["POST", "/v1/trusted/project%3Ap05?wait=5"],
    ["POST", "/v1/commands/cap?wait=5"],
    ["DELETE", "/v1/trusted/ann?category=fact&key=k&wait=9&reason=over"],
  ]);
  assert.deepEqual([asked[0].body, asked[1].body], [entry, { identity: "ann", cap: 0 }]);
  assert.ok(asked[0].key && asked[0].key !== asked[1].key);
});

test("writes fail closed", async () => {
  const refusals = [[0, {}, "unavailable"], [503, { type: "/problems/views_away" }, "views_away"],
    [409, { type: "/problems/conflict", reason: "state_full" }, "state_full"]];
  for (const [status, value, reason] of refusals) {
    const { operate } = answering(status, value);
    await assert.rejects(operate.setCap("ann", 3), (error) => error instanceof Refused && error.reason === reason);
  }
});

const CALLS = [
  [(o) => o.memories("ann", { status: "candidate" }), "GET", "/v1/memories?subject=ann&status=candidate"],
  [(o) => o.memory("ann", "m-1"), "GET", "/v1/memories/m-1?subject=ann"],
  [(o) => o.conflicts("project:p05", "open"), "GET", "/v1/conflicts?subject=project%3Ap05&status=open"],
  [(o) => o.approvals({ kind: "call", identity: "ann" }), "GET", "/v1/approvals?kind=call&identity=ann"],
  [(o) => o.approve({ kind: "call", identity: "ann", call_id: "c-1" }), "POST", "/v1/commands/approve?wait=5",
    { identity: "ann", call_id: "c-1" }],
  [(o) => o.deny({ kind: "turn", identity: "ann", audit_id: "a" }, "r"), "POST", "/v1/commands/deny-turn?wait=5",
    { identity: "ann", audit_id: "a", reason: "r" }],
  [(o) => o.names({ scope: "project" }), "GET", "/v1/names?scope=project"],
  [(o) => o.links("ann/b", "applied"), "GET", "/v1/identities/ann%2Fb/links?status=applied"],
  [(o) => o.linkGroup("ann"), "GET", "/v1/identities/ann/group"],
  [(o) => o.bondEvents("ann", 3), "GET", "/v1/bonds/ann/events?limit=3"],
  [(o) => o.interactions({ identity: "ann", limit: 5 }), "GET", "/v1/interactions?identity=ann&limit=5"],
  [(o) => o.interaction("a/b"), "GET", "/v1/interactions/a%2Fb"],
  [(o) => o.audit("a/b"), "GET", "/v1/audits/a%2Fb"],
  [(o) => o.extract("t1", true), "POST", "/v1/interactions/t1/extract", { persist: true }],
  [(o) => o.reinforce("t1"), "POST", "/v1/interactions/t1/reinforce", {}],
  [(o) => o.addNote("ann", "a word"), "POST", "/v1/commands/note?wait=5", { identity: "ann", text: "a word" }],
  [(o) => o.memoryCreate("ann", { content: "tea", type: "preference" }), "POST", "/v1/memories?wait=5",
    { subject: "ann", content: "tea", type: "preference" }],
  [(o) => o.memoryPromote("ann", "m-1", "r"), "POST", "/v1/memories/m-1/promote?wait=5", { subject: "ann", reason: "r" }],
  [(o) => o.memoryReject("ann", "m-1"), "POST", "/v1/memories/m-1/reject?wait=5", { subject: "ann" }],
  [(o) => o.memorySupersede("ann", "m-1", { superseded_by: "m-2" }), "POST", "/v1/memories/m-1/supersede?wait=5",
    { subject: "ann", superseded_by: "m-2" }],
  [(o) => o.memoryInvalidate("ann", "m-1"), "POST", "/v1/memories/m-1/invalidate?wait=5", { subject: "ann" }],
  [(o) => o.memoryUpdate("ann", "m-1", { content: "tea", version: 2 }), "POST", "/v1/memories/m-1/update?wait=5",
    { subject: "ann", content: "tea", version: 2 }],
  [(o) => o.opinion("ann", "m-1", "against", 0), "POST", "/v1/memories/m-1/opinion?wait=5",
    { subject: "ann", opinion: "against", confidence: 0 }],
  [(o) => o.conflictResolve("c-1", { subject: "ann", slot: "pad", action: "dismiss" }), "POST",
    "/v1/conflicts/c-1/resolve?wait=5", { subject: "ann", slot: "pad", action: "dismiss" }],
  [(o) => o.context({ identity: "ann", prompt: "p" }), "POST", "/v1/context", { auto: false, identity: "ann", prompt: "p" }],
  [(o) => o.nameRegister("project", "p05", "pump"), "POST", "/v1/names?wait=5",
    { kind: "register_name", scope: "project", name: "pump", registered_id: "p05" }],
  [(o) => o.nameRelease("project", "pump"), "POST", "/v1/names?wait=5", { kind: "release_name", scope: "project", name: "pump" }],
  [(o) => o.linkApply("ann", "bob"), "POST", "/v1/identities/ann/links/apply?wait=5", { other: "bob" }],
  [(o) => o.linkReverse("ann", "bob", "r"), "POST", "/v1/identities/ann/links/reverse?wait=5", { other: "bob", reason: "r" }],
  [(o) => o.linkDismiss("ann", "bob"), "POST", "/v1/identities/ann/links/dismiss?wait=5", { other: "bob" }],
];
for (const [call, method, path, body] of CALLS) {
  test(`${method} ${path} is one method`, async () => {
    const { asked, operate } = answering(200, { items: [] });
    assert.deepEqual(await call(operate), { items: [] });
    assert.deepEqual([asked[0].method, asked[0].path, asked[0].body], [method, path, body ?? null]);
    assert.equal(asked[0].key !== null, method === "POST");
  });
}

test("a context pack fails open while the gateway is away", async () => {
  assert.deepEqual(await answering(0, {}).operate.context({ identity: "ann", prompt: "p" }), UNAVAILABLE);
});
