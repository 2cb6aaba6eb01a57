/** A gateway for an application's own tests: in process, under the real client. */
import { Endocrine, type Settings } from "./index.js";
import type { components } from "./gateway.js";

type Json = Record<string, unknown>;
const BALANCED: components["schemas"]["Parameters"] = {
  temperature: 0.6, top_p: 0.9, max_output_tokens: 900, reasoning_effort: 0.5, retrieval_k: 4, planner_beam: 1,
  memory_write: 0.1, safety_mode: "balanced", tool_allowlist: [],
};
const KNOWLEDGE: components["schemas"]["Function"] = {
  name: "retrieve_knowledge",
  description: "Look something up.",
  parameters: { type: "object", properties: { query: { type: "string" } }, required: ["query"] },
};

/** Answers as the gateway does, without deciding anything itself. deny: reasons by function name. */
export class FakeGateway {
  /** Nothing answers. */
  away = false;
  deny: Record<string, string> = {};
  pending: string[] = [];
  /** Why turns are refused: rate_limited, budget_exceeded, denied, held. */
  refuse: string | null = null;
  parameters = BALANCED;
  functions = [KNOWLEDGE];
  private readonly byKey = new Map<string, [string, Json]>();

  constructor(given: Partial<Pick<FakeGateway, "deny" | "pending" | "refuse" | "parameters" | "functions">> = {}) {
    Object.assign(this, given);
  }

  /** A client of this gateway; its spool is in memory. */
  client(settings: Settings = {}): Endocrine {
    const quick = { spool: null, openMs: 1000, decisionMs: 1000, closeMs: 1000, warn: () => undefined };
    return new Endocrine({ url: "http://gateway.test", fetch: (sent) => this.handle(sent), ...quick, ...settings });
  }

  /** What was recorded at a path, in order of arrival; `/v1/turns/{id}/close` counts as `close`. */
  records(path: string): Json[] {
    return [...this.byKey.values()].filter(([at]) => at === path).map(([, value]) => value);
  }

  /** The paths of all records, in order of arrival. */
  get arrived(): string[] {
    return [...this.byKey.values()].map(([at]) => at);
  }

  /** Answer one request. */
  async handle(sent: Request): Promise<Response> {
    if (this.away) throw new TypeError("the gateway is away");
    const value = (await sent.json()) as Json;
    const path = new URL(sent.url).pathname;
    const key = sent.headers.get("idempotency-key") ?? "";
    if (!this.byKey.has(key)) this.byKey.set(key, [path.endsWith("/close") ? "close" : path, value]);
    if (path === "/v1/turns") return this.opened(value);
    if (path === "/v1/tool-calls") return this.decided(value);
    return Response.json({ id: `door-${key.slice(0, 8)}` }, { status: 202 });
  }

  private opened(value: Json): Response {
    const modulation = this.modulation(value, 0, this.parameters);
    if (this.refuse === null) return Response.json(modulation, { status: 201 });
    const turn = { ...modulation, admitted: false, refusal: this.refuse, functions: [] };
    if (this.refuse === "held") return Response.json(turn, { status: 202 });
    const limit = ["rate_limited", "budget_exceeded"].includes(this.refuse);
    return problem(limit ? this.refuse : "refused", limit ? 429 : 403, { turn });
  }

  private decided(call: Json): Response {
    const name = String(call["tool"]);
    const { call_id, audit_id, identity } = call;
    const decision = { call_id, audit_id, identity, function: name, tool: name, decision: "allowed", reason: null,
      revision: 0, modulation: null };
    const reason = this.deny[name] ?? (this.functions.some((one) => one.name === name) ? null : "unknown_tool");
    if (reason !== null) {
      const modulation = this.modulation(call, 1, { ...this.parameters, safety_mode: "strict" });
      return problem("tool_denied", 403, { ...decision, decision: "denied", reason, revision: 1, modulation });
    }
    if (this.pending.includes(name)) {
      return Response.json({ ...decision, decision: "pending", reason: "approval_required" }, { status: 202 });
    }
    return Response.json(decision);
  }

  private modulation(value: Json, revision: number, parameters: components["schemas"]["Parameters"]): Json {
    const mode = parameters.safety_mode;
    return { audit_id: value["audit_id"], identity: value["identity"], revision, admitted: true, refusal: null,
      review: "none", mode, parameters, prompt_style: mode,
      functions: this.functions.filter((one) => !(one.name in this.deny)) };
  }
}

function problem(kind: string, status: number, more: Json): Response {
  const headers = { "content-type": "application/problem+json" };
  return new Response(JSON.stringify({ type: `/problems/${kind}`, title: kind, status, detail: kind, ...more }), { status, headers });
}
