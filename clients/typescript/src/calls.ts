/** Tool calls and token counts, as the libraries of model providers give them. */

type Json = Record<string, unknown>;

/** What a model asks for. arguments: an object, or the text that the model wrote where it is no JSON object. */
export interface ToolCall {
  readonly callId: string;
  readonly function: string;
  readonly arguments: Json | string;
}

/** From a call of OpenAI's, Anthropic's, LangChain's or the AI SDK's. Throws TypeError, naming what is missing. */
export function toolCall(call: unknown): ToolCall {
  const outer = object(call) ?? {};
  const named = object(outer["function"]) ?? outer;
  const callId = first(outer, "callId", "call_id", "id", "toolCallId");
  const name = typeof outer["function"] === "string" ? outer["function"] : first(named, "name", "toolName");
  if (typeof callId !== "string" || callId === "") throw new TypeError("a tool call: expected an id");
  if (typeof name !== "string" || name === "") throw new TypeError("a tool call: expected a function name");
  return { callId, function: name, arguments: parsed(first(named, "arguments", "input", "args") ?? {}) };
}

/** `input_tokens`, `output_tokens` of a usage of OpenAI's, Anthropic's or the AI SDK's; undefined where it has none. */
export function usageOf(usage: unknown): { input_tokens: number; output_tokens: number } | undefined {
  const given = object(usage) ?? {};
  const input_tokens = first(given, "input_tokens", "prompt_tokens", "inputTokens");
  const output_tokens = first(given, "output_tokens", "completion_tokens", "outputTokens");
  return count(input_tokens) && count(output_tokens) ? { input_tokens, output_tokens } : undefined;
}

/** Parsed once: what is decided is what is handed back, however others read the text. */
function parsed(given: unknown): Json | string {
  if (typeof given === "string") {
    try {
      return object(JSON.parse(given === "" ? "{}" : given)) ?? given;
    } catch {
      return given;
    }
  }
  const found = object(given);
  if (found === undefined) throw new TypeError("arguments of a tool call: expected an object or a text");
  return JSON.parse(JSON.stringify(found)) as Json;
}

function object(value: unknown): Json | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

function first(value: Json, ...names: string[]): unknown {
  return names.map((name) => value[name]).find((found) => found !== undefined && found !== null);
}

function count(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
