/** How to call the model: parameters and functions of a turn, and as the OpenAI libraries take them. */
import type { components } from "./gateway.js";

export type Values = components["schemas"]["Parameters"];
export type FunctionTool = components["schemas"]["Function"];
export type Api = "chat" | "responses";

/** How to call the model now; `values` has all of them. */
export class Parameters {
  constructor(readonly values: Values) {}

  /** Below 0.34 low, below 0.67 medium, else high. */
  get effort(): "low" | "medium" | "high" {
    const share = this.values.reasoning_effort;
    return share < 0.34 ? "low" : share < 0.67 ? "medium" : "high";
  }

  /** Fields of a request. reasoning: the model is one that takes an effort, and neither temperature nor top_p. */
  openai(given: { api?: Api; reasoning?: boolean } = {}): Record<string, unknown> {
    const chat = (given.api ?? "chat") === "chat";
    const { temperature, top_p, max_output_tokens } = this.values;
    const effort = chat ? { reasoning_effort: this.effort } : { reasoning: { effort: this.effort } };
    const limit = chat ? { max_completion_tokens: max_output_tokens } : { max_output_tokens };
    return { ...(given.reasoning ? effort : { temperature, top_p }), ...limit };
  }
}

/** The tools that may be offered to the model, as OpenAI's libraries take them. */
export function openaiTools(functions: readonly FunctionTool[], api: Api = "chat"): Record<string, unknown>[] {
  return functions.map((one) =>
    api === "chat" ? { type: "function", function: one } : { type: "function", strict: false, ...one },
  );
}

/** Used where the gateway could not be asked: the model may still be called, with nothing to act with. */
export const STRICT = new Parameters({
  temperature: 0.2,
  top_p: 0.5,
  max_output_tokens: 500,
  reasoning_effort: 0.5,
  retrieval_k: 4,
  planner_beam: 1,
  memory_write: 0.1,
  safety_mode: "strict",
  tool_allowlist: [],
});
