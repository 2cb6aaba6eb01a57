/** What an answer of the gateway means. */
import { Denied, NotDecided, Pending } from "./errors.js";
import type { ToolCall } from "./calls.js";
import type { components } from "./gateway.js";

export type Json = Record<string, unknown>;
export type Modulation = Pick<
  components["schemas"]["Turn"],
  "mode" | "parameters" | "prompt_style" | "review"
> & { revision: number | null; functions: components["schemas"]["Function"][]; advice: string | null };

/** status: 0 where nothing came back; `detail` then says why. */
export interface Answer {
  readonly status: number;
  readonly value: Json;
  readonly headers: Headers;
  readonly detail: string;
}

const DELIVERED = new Set(["rate_limited", "budget_exceeded", "refused"]);
/** Problems that sending again does not mend. All else may pass: a broker that is away, a key that is not yet valid. */
const REFUSED = new Set([
  "not_json", "bad_request", "identity_not_allowed", "not_found", "method_not_allowed", "conflict", "too_large",
  "unsupported_media_type", "invalid", "idempotency_mismatch", "headers_too_large",
]);

/** An answer, or the failure to get one. Never throws. */
export async function answerOf(sending: () => Promise<Response>): Promise<Answer> {
  try {
    const response = await sending();
    const text = await response.text();
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      value = undefined;
    }
    const json = typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
    return { status: response.status, value: json, headers: response.headers, detail: "" };
  } catch (error) {
    return { status: 0, value: {}, headers: new Headers(), detail: error instanceof Error ? error.name : "error" };
  }
}

/** The kind of problem; null where it is no problem of the gateway's. */
export function kindOf(answer: Answer): string | null {
  const type = answer.value["type"];
  const found = answer.status >= 400 && typeof type === "string" && type.startsWith("/problems/");
  return found ? type.slice("/problems/".length) : null;
}

/** What became of the record that was sent. */
export function fateOf(answer: Answer): "delivered" | "refused" | "retry" {
  const kind = kindOf(answer) ?? "";
  if ((answer.status >= 200 && answer.status < 300) || DELIVERED.has(kind)) return "delivered";
  return REFUSED.has(kind) ? "refused" : "retry";
}

/** Whether the same request may have another answer in a moment. */
export function passing(answer: Answer): boolean {
  const busy = [0, 408, 429].includes(answer.status) || answer.status >= 500;
  return busy && !DELIVERED.has(kindOf(answer) ?? "");
}

/** For a log: no content. */
export function shown(answer: Answer): string {
  const field = answer.value["field"];
  const named = kindOf(answer) ?? (answer.detail || "no problem document");
  return `${answer.status} ${named}${typeof field === "string" ? `, field ${field}` : ""}`;
}

/** The modulation of a value; null where it is none. */
export function modulationOf(value: unknown): Modulation | null {
  const given = (value ?? {}) as Partial<components["schemas"]["Turn"]>;
  const numbers = ["temperature", "top_p", "max_output_tokens", "reasoning_effort"] as const;
  const parameters = given.parameters;
  if (typeof given.mode !== "string" || !parameters || numbers.some((name) => typeof parameters[name] !== "number")) {
    return null;
  }
  return {
    revision: given.revision ?? null, mode: given.mode, parameters, functions: given.functions ?? [],
    prompt_style: given.prompt_style ?? "strict", review: given.review ?? "none", advice: given.advice ?? null,
  };
}

/** The modulation that a turn was opened with; null: not known. Throws Denied, Pending. */
export function opened(answer: Answer, auditId: string): Modulation | null {
  const kind = kindOf(answer) ?? "";
  if (DELIVERED.has(kind)) {
    const turn = answer.value["turn"] as Json | undefined;
    const reason = String(turn?.["refusal"] ?? kind);
    throw new Denied(`the turn is refused: ${reason}`, auditId, null, reason);
  }
  if (answer.status === 202) throw pending("the turn waits for a person", answer, auditId, null);
  return answer.status === 201 ? modulationOf(answer.value) : null;
}

/** A tool call that may run. */
export interface Decision {
  readonly allowed: true;
  readonly callId: string;
  /** As the model wrote it. */
  readonly function: string;
  /** What was decided on: run the tool with these. */
  readonly arguments: Json;
  /** Canonical name; null for a function of the application. */
  readonly tool: string | null;
  readonly runner: string | null;
  readonly revision: number | null;
  /** Why it would not be allowed, where the API key only observes. */
  readonly would: string | null;
}

/** The decision. Throws Denied, Pending, NotDecided: all else is a no. */
export function decided(answer: Answer, call: ToolCall, auditId: string): Decision {
  const { value } = answer;
  const same = value["call_id"] === call.callId;
  if (answer.status === 403 && kindOf(answer) === "tool_denied" && same) {
    const reason = String(value["reason"]);
    const message = value["message"] ?? `${reason}: the call must not run`;
    throw new Denied(String(message), auditId, call.callId, reason);
  }
  if (answer.status === 202 && same) throw pending("the call waits for a person", answer, auditId, call.callId);
  const observed = value["enforce"] === false;
  const allowed = value["decision"] === "allowed" || observed;
  if (answer.status !== 200 || !same || value["function"] !== call.function || !allowed) {
    throw undecided(`no decision: ${shown(answer)}`, auditId, call.callId);
  }
  if (typeof call.arguments === "string") {
    throw new Denied("the arguments are no JSON object", auditId, call.callId, "invalid_arguments");
  }
  return {
    allowed: true, callId: call.callId, function: call.function, arguments: call.arguments,
    tool: (value["tool"] as string | null | undefined) ?? null,
    runner: (value["runner"] as string | null | undefined) ?? null,
    revision: (value["revision"] as number | null | undefined) ?? null,
    would: observed ? answer.headers.get("endocrine-would") : null,
  };
}

/** The error of a call that nobody decided. */
export function undecided(why: string, auditId: string, callId: string | null): NotDecided {
  return new NotDecided(`${why}; the call must not run`, auditId, callId, "not_decided");
}

function pending(message: string, answer: Answer, auditId: string, callId: string | null): Pending {
  const error = new Pending(message, auditId, callId, String(answer.value["reason"] ?? "pending"));
  const expires = answer.value["expires"];
  error.expires = typeof expires === "number" ? expires : null;
  return error;
}
