/** One turn: its modulation now, and what is decided in it. */
import type { FetchResponse } from "openapi-fetch";
import { type Decision, type Json, type Modulation, answerOf, decided, fateOf, modulationOf, opened, passing, shown,
  undecided } from "./answer.js";
import { type ToolCall, toolCall, usageOf } from "./calls.js";
import type { Connection } from "./connection.js";
import { kept } from "./delivery.js";
import type { components } from "./gateway.js";
import { type FunctionTool, Parameters, STRICT } from "./parameters.js";

export type Opening = components["schemas"]["TurnRequest"] & { identity: string };
type CallRequest = components["schemas"]["ToolCallRequest"];
type Sent = Promise<FetchResponse<never, never, never>>;

const UNAVAILABLE: Modulation = {
  revision: null, mode: "strict", parameters: STRICT.values, functions: [], prompt_style: "strict", review: "none",
  advice: "unavailable",
};
const MOST_RESPONSE = 50_000;
const AGAIN_MS = 100;
const LONGEST_AGAIN_MS = 1_000;

/** What the user got, and what it cost. */
export interface Closing {
  readonly usage?: unknown;
  readonly summary?: string;
  readonly reinforce?: boolean;
}

/** A turn; `endocrine.turn(...)` makes it. */
export class Turn {
  /** The latest revision that is known. */
  modulation: Modulation = UNAVAILABLE;
  readonly auditId: string;
  readonly identity: string;
  private recorded = false;
  private closing: Json = { response: "", response_summary: "abandoned", reinforce: false };
  private readonly asked = new Map<string, { call: string; body: CallRequest; key: string }>();

  constructor(
    private readonly connection: Connection,
    private readonly opening: Opening,
  ) {
    this.auditId = opening.audit_id ?? `turn-${crypto.randomUUID()}`;
    this.identity = opening.identity;
  }

  /** How to call the model now. */
  get parameters(): Parameters {
    return new Parameters(this.modulation.parameters);
  }

  /** The tools that may be offered to the model now. */
  get functions(): readonly FunctionTool[] {
    return this.modulation.functions;
  }

  get mode(): string {
    return this.modulation.mode;
  }

  /** Set what the user got; recorded when the turn ends. Never throws. */
  answer(text: string, given: Closing = {}): void {
    const whole = String(text);
    this.closing = {
      response: whole.length <= MOST_RESPONSE ? whole : `${whole.slice(0, MOST_RESPONSE)}\n\n[truncated]`,
      usage: usageOf(given.usage),
      response_summary: given.summary,
      reinforce: given.reinforce,
    };
  }

  /** Wait for the decision on a call of the model. Resolves where it may run, with `decision.arguments`; rejects with
   * Denied, Pending, NotDecided: it must not. */
  async toolCall(given: unknown, step = 1): Promise<Decision> {
    let call: ToolCall;
    try {
      call = toolCall(given);
    } catch (error) {
      throw undecided(`the call cannot be asked about: ${(error as Error).message}`, this.auditId, null);
    }
    if (!this.recorded) throw undecided("the turn is not on record", this.auditId, call.callId);
    const { delivery, gateway, decisionMs } = this.connection;
    const until = Date.now() + decisionMs;
    if (!(await delivery.deliver(decisionMs, this.identity))) {
      throw undecided("earlier records of this identity are not delivered", this.auditId, call.callId);
    }
    const { body, key } = this.requestOf(call, step);
    for (let pauseMs = AGAIN_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_AGAIN_MS)) {
      const left = Math.max(1, until - Date.now());
      const answer = await answerOf(async () => {
        const headers = { "idempotency-key": key };
        const sent = gateway.POST("/v1/tool-calls", { body, headers, parseAs: "stream", signal: AbortSignal.timeout(left) });
        return raw(await (sent as unknown as Sent));
      });
      if (!passing(answer)) {
        this.revise(modulationOf(answer.value["modulation"]), answer.value["revision"]);
        return decided(answer, call, this.auditId);
      }
      const after = 1000 * Number(answer.headers.get("retry-after") ?? 0);
      const waitMs = Math.max(pauseMs, Number.isFinite(after) ? after : 0);
      if (Date.now() + waitMs >= until) {
        throw undecided(`no decision within ${decisionMs} ms: ${shown(answer)}`, this.auditId, call.callId);
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  /** Record what came of a call. Never throws. */
  toolResult(
    decision: Decision,
    output: unknown,
    given: { status?: "ok" | "error" | "timeout"; durationMs?: number } = {},
  ): boolean {
    return this.connection.delivery.capture("/v1/tool-results", () => {
      const value: components["schemas"]["ToolResultRequest"] = {
        identity: this.identity, audit_id: this.auditId, call_id: decision.callId,
        tool: decision.tool ?? decision.function, status: given.status ?? "ok", duration_ms: given.durationMs ?? 0,
        args_summary: `${Object.keys(decision.arguments).length} arguments`, output, ts: Date.now() / 1000,
        ...(decision.runner === null ? {} : { runner: decision.runner as "application" }),
      };
      return kept("/v1/tool-results", this.identity, value);
    });
  }

  /** Open it: advice fails open, to strict parameters and no function. Throws Denied, Pending. */
  async open(): Promise<void> {
    const { delivery, gateway, openMs } = this.connection;
    const until = Date.now() + openMs;
    const asked: { body?: Opening; key: string } = { key: crypto.randomUUID() };
    const body: Opening = { session_id: this.auditId, turn: 0, ...this.opening, audit_id: this.auditId, ts: Date.now() / 1000 };
    const keep = () => delivery.capture("/v1/turns", () => ({ ...kept("/v1/turns", this.identity, body), key: asked.key }));
    if (!(await delivery.deliver(openMs, this.identity))) {
      this.recorded = keep();
      return;
    }
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const left = Math.max(100, until - Date.now());
      const answer = await answerOf(async () => {
        const headers = { "idempotency-key": asked.key };
        const sent = gateway.POST("/v1/turns", { body, headers, parseAs: "stream", signal: AbortSignal.timeout(left) });
        return raw(await (sent as unknown as Sent));
      });
      const modulation = opened(answer, this.auditId);
      if (modulation !== null) {
        this.modulation = modulation;
        this.recorded = true;
        return;
      }
      if (fateOf(answer) === "refused") {
        delivery.refused("/v1/turns", answer);
        return;
      }
      if (!passing(answer)) break;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
    this.recorded = keep();
  }

  /** Close it with the answer, or as abandoned. Never throws. */
  close(): boolean {
    if (!this.recorded) return false;
    return this.connection.delivery.capture("close", () => {
      const path = `/v1/turns/${encodeURIComponent(this.auditId)}/close`;
      return kept(path, this.identity, { identity: this.identity, ts: Date.now() / 1000, ...this.closing });
    });
  }

  /** The request of a call; one that is asked again keeps its id and time. */
  private requestOf(call: ToolCall, step: number): { body: CallRequest; key: string } {
    const known = this.asked.get(call.callId);
    const text = JSON.stringify(call);
    if (known?.call === text) return known;
    const body: CallRequest = {
      identity: this.identity, audit_id: this.auditId, call_id: call.callId, tool: call.function,
      arguments: call.arguments, step, ts: Date.now() / 1000,
    };
    const made = { call: text, body, key: crypto.randomUUID() };
    this.asked.set(call.callId, made);
    return made;
  }

  /** Take the later revision. One that a decision names and that did not come with it: strict defaults. */
  private revise(modulation: Modulation | null, named: unknown): void {
    if (modulation !== null && (modulation.revision ?? 0) >= (this.modulation.revision ?? 0)) this.modulation = modulation;
    if (typeof named === "number" && named > (this.modulation.revision ?? 0)) {
      this.modulation = { ...UNAVAILABLE, revision: named, advice: "late" };
    }
  }
}

/** The response as it came: what it means is decided in one place, errors too. */
function raw(result: { response: Response; data?: unknown; error?: unknown }): Response {
  const { status, headers } = result.response;
  if (result.error !== undefined) {
    const text = typeof result.error === "string" ? result.error : JSON.stringify(result.error);
    return new Response(text, { status, headers });
  }
  return new Response((result.data as ReadableStream | null | undefined) ?? null, { status, headers });
}
