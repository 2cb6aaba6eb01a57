// Turns, decisions and captures, on a gateway that is in process.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Denied, Endocrine, NotDecided, Pending, openaiTools } from "@endocrine/client";
import { FakeGateway } from "@endocrine/client/testing";
import { toolCall, usageOf } from "../dist/calls.js";
import { Spool } from "../dist/spool.js";

const CALL = { id: "c1", function: { name: "retrieve_knowledge", arguments: '{"query": "refunds"}' } };
const OPENING = { identity: "ann", prompt: "How?" };

test("a turn is opened, decided, closed and rated", async () => {
  const gateway = new FakeGateway();
  const endocrine = gateway.client();
  const turn = await endocrine.turn({ ...OPENING, signals: [{ name: "urgency", level: 0.6 }] }, async (turn) => {
    assert.deepEqual(turn.parameters.openai(), { temperature: 0.6, top_p: 0.9, max_completion_tokens: 900 });
    assert.equal(openaiTools(turn.functions)[0].function.name, "retrieve_knowledge");
    const decision = await turn.toolCall(CALL);
    assert.equal(decision.allowed, true);
    assert.deepEqual(decision.arguments, { query: "refunds" });
    assert.ok(turn.toolResult(decision, { passages: [] }));
    turn.answer("Ten days.", { usage: { prompt_tokens: 3, completion_tokens: 2 } });
    return turn;
  });
  assert.ok(endocrine.rate(turn, 5, { note: "good" }));
  assert.ok(endocrine.signal("ann", "stress", 0.4));
  await endocrine.close();
  assert.deepEqual(gateway.arrived,
    ["/v1/turns", "/v1/tool-calls", "/v1/tool-results", "close", "/v1/feedback", "/v1/signals"]);
  const [closed] = gateway.records("close");
  assert.deepEqual([closed.response, closed.usage], ["Ten days.", { input_tokens: 3, output_tokens: 2 }]);
  assert.equal(gateway.records("/v1/feedback")[0].target_action_id, turn.auditId);
});

test("work that fails closes its turn as abandoned", async () => {
  const gateway = new FakeGateway();
  const endocrine = gateway.client();
  await assert.rejects(endocrine.turn(OPENING, () => Promise.reject(new Error("mine"))), /mine/);
  await endocrine.close();
  assert.equal(gateway.records("close")[0].response_summary, "abandoned");
});

test("a denial is thrown, and the turn has the revision that it led to", async () => {
  const endocrine = new FakeGateway({ deny: { exec_code: "disabled_by_flag" } }).client();
  await endocrine.turn(OPENING, async (turn) => {
    await assert.rejects(turn.toolCall({ id: "c2", name: "exec_code", input: {} }),
      (error) => error instanceof Denied && error.reason === "disabled_by_flag" && error.callId === "c2");
    assert.equal(turn.mode, "strict");
  });
});

test("a call that waits for a person, asked again, is the same call", async () => {
  const gateway = new FakeGateway({ pending: ["retrieve_knowledge"] });
  await gateway.client().turn(OPENING, async (turn) => {
    await assert.rejects(turn.toolCall(CALL), Pending);
    await assert.rejects(turn.toolCall(CALL), Pending);
  });
  assert.equal(gateway.records("/v1/tool-calls").length, 1);
});

for (const [refuse, error] of [["rate_limited", Denied], ["budget_exceeded", Denied], ["denied", Denied], ["held", Pending]]) {
  test(`a turn that is ${refuse} never begins`, async () => {
    let begun = false;
    await assert.rejects(new FakeGateway({ refuse }).client().turn(OPENING, () => { begun = true; }), error);
    assert.equal(begun, false);
  });
}

const decision = (more) => ({ call_id: "c1", function: "retrieve_knowledge", decision: "allowed", reason: null, ...more });
const NO_DECISION = {
  "the gateway is away": () => { throw new TypeError("away"); },
  "it is busy": () => Response.json({ type: "/problems/decision_timeout" }, { status: 503 }),
  "the key is wrong": () => Response.json({ type: "/problems/unauthorized" }, { status: 401 }),
  "a page of something between": () => new Response("<html>"),
  "an answer on another call": () => Response.json(decision({ call_id: "c9" })),
  "an answer on another function": () => Response.json(decision({ function: "exec_code" })),
  "denied under the wrong status": () => Response.json(decision({ decision: "denied" })),
  "no decision in it": () => Response.json({ call_id: "c1", function: "retrieve_knowledge" }),
  "another success": () => Response.json(decision(), { status: 201 }),
  "a redirection": () => new Response(null, { status: 302, headers: { location: "http://elsewhere.test" } }),
};

function answering(...answers) {
  const gateway = new FakeGateway(), sent = [];
  const fetch = async (request) => {
    if (new URL(request.url).pathname !== "/v1/tool-calls") return gateway.handle(request);
    sent.push([request.headers.get("idempotency-key"), await request.text()]);
    return (answers.length > 1 ? answers.shift() : answers[0])();
  };
  return [gateway.client({ fetch, decisionMs: 300 }), sent];
}

for (const [name, answer] of Object.entries(NO_DECISION)) {
  test(`without a decision that can be read the call must not run: ${name}`, async () => {
    const [endocrine] = answering(answer);
    await endocrine.turn(OPENING, async (turn) => assert.rejects(turn.toolCall(CALL), NotDecided));
  });
}

test("a decision is asked again under one id while time is left", async () => {
  const [endocrine, sent] = answering(NO_DECISION["the gateway is away"], () => Response.json(decision({ revision: 3 })));
  await endocrine.turn(OPENING, async (turn) => {
    assert.equal((await turn.toolCall(CALL)).revision, 3);
    assert.deepEqual([turn.mode, turn.modulation.advice, turn.functions.length], ["strict", "late", 0]);
  });
  assert.equal(sent.length, 2);
  assert.deepEqual(sent[0], sent[1]);
});

test("while the gateway is away advice is strict, no call runs and nothing is lost, in order", async () => {
  const gateway = new FakeGateway();
  gateway.away = true;
  const endocrine = gateway.client({ decisionMs: 200 });
  const turn = await endocrine.turn(OPENING, async (turn) => {
    assert.deepEqual([turn.mode, turn.functions.length, turn.modulation.advice], ["strict", 0, "unavailable"]);
    await assert.rejects(turn.toolCall(CALL), NotDecided);
    turn.answer("Ten days.");
    return turn;
  });
  endocrine.rate(turn, 4);
  assert.deepEqual(gateway.arrived, []);
  gateway.away = false;
  assert.ok(await endocrine.flush());
  assert.deepEqual(gateway.arrived, ["/v1/turns", "close", "/v1/feedback"]);
  assert.deepEqual([endocrine.counts.captured, endocrine.counts.delivered], [3, 3]);
});

test("a capture that cannot be written is counted and never thrown", async () => {
  const warned = [];
  const endocrine = new FakeGateway().client({ warn: (message) => warned.push(message) });
  assert.equal(endocrine.signal("ann", "stress", 10n), false);
  assert.equal(endocrine.rate(undefined, 5), false);
  assert.equal(endocrine.counts.lost, 2);
  assert.equal(warned.length, 2);
});

test("a record that the gateway refuses holds up no other; what may be mended outside stays", async () => {
  let status = 422;
  const kinds = { 422: "invalid", 401: "unauthorized" };
  const fetch = async () => status === 202 ? Response.json({}, { status })
    : Response.json({ type: `/problems/${kinds[status]}` }, { status });
  const endocrine = new Endocrine({ url: "http://gateway.test", spool: null, fetch, warn: () => undefined });
  endocrine.signal("ann", "stress", 0.1);
  assert.ok(await endocrine.flush());
  assert.equal(endocrine.counts.refused, 1);
  status = 401;
  endocrine.signal("ann", "stress", 0.2);
  assert.equal(await endocrine.flush(100), false);
  status = 202;
  assert.ok(await endocrine.flush());
  assert.equal(endocrine.counts.delivered, 1);
});

const record = (number, size = 0) =>
  ({ path: "/v1/feedback", identity: `i${number % 2}`, content: "x".repeat(size), key: `${number}` });

test("a spool keeps order and its bound, and a process that dies leaves it to the next", () => {
  const folder = mkdtempSync(join(tmpdir(), "spool-"));
  const spool = new Spool(folder, 1000);
  let went = 0;
  for (let number = 0; number < 40; number += 1) {
    went += spool.append(record(number, number));
    assert.ok(spool.bytes <= 1000);
  }
  assert.throws(() => spool.append(record(1, 2000)), RangeError);
  writeFileSync(join(folder, "000000000000000-stranger.part"), "{");
  const next = new Spool(folder, 1000), found = [];
  assert.equal(next.bytes, spool.bytes);
  assert.equal(next.first("i1")[1].identity, "i1");
  for (let one = next.first(); one; one = next.first()) {
    found.push(Number(one[1].key));
    next.remove(one[0]);
  }
  assert.deepEqual(found, Array.from({ length: 40 - went }, (_, index) => went + index));
  assert.equal(next.bytes, 0);
  assert.equal(spool.first(), undefined); // the other process has delivered them
  assert.equal(readdirSync(folder).length, 1);
});

test("calls and tokens are read in each shape", () => {
  const wanted = { callId: "c1", function: "look_up", arguments: { day: "mon" } };
  const shapes = [
    { id: "c1", function: { name: "look_up", arguments: '{"day":"mon"}' } },
    { id: "fc", call_id: "c1", name: "look_up", arguments: '{"day":"mon"}' },
    { id: "c1", name: "look_up", input: { day: "mon" } },
    { id: "c1", name: "look_up", args: { day: "mon" } },
    { toolCallId: "c1", toolName: "look_up", input: { day: "mon" } },
  ];
  for (const shape of shapes) assert.deepEqual(toolCall(shape), wanted);
  for (const text of ["{", "[1]", "5"]) assert.equal(toolCall({ id: "c", name: "f", arguments: text }).arguments, text);
  for (const none of [null, 5, {}, { id: "c" }, { id: "c", name: "f", args: [1] }]) assert.throws(() => toolCall(none), TypeError);
  assert.deepEqual(usageOf({ inputTokens: 3, outputTokens: 2 }), { input_tokens: 3, output_tokens: 2 });
  assert.equal(usageOf({ input_tokens: 3 }), undefined);
});
