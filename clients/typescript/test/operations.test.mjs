// Bonds and trusted state: reads fail open, writes fail closed.
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
