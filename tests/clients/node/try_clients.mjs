// openai-node, AI SDK and LangChain against the endpoint: one line for each mode; the exit status says whether all are
// right. Arguments: a file of connections, by prompt, and a file for what was shown. Packages: `npm ci` in this folder.
// Clients are tried side by side.
import { readFileSync, writeFileSync } from "node:fs";
import { createOpenAI } from "@ai-sdk/openai";
import { AIMessage, HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool as langchainTool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { generateText, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const connections = JSON.parse(readFileSync(process.argv[2], "utf-8"));
const HELLO = Array(20).fill("Hello, wörld.").join(" ");
const LABEL = "[scripted] "; // what a scripted model begins its texts with
const ROWS = [
  ["hello", HELLO],
  ["allowed tool", "It rains in Bonn."],
  ["forbidden tool", "Then without."],
  ["weather", "It rains in Bonn, not in Köln."],
  ["all denied", "Then without."],
  ["withheld", "This answer is withheld."],
  ["blocked prompt", "raises content_policy_violation"],
  ["budget", "raises insufficient_quota"],
  ["no decision", "raises decision_timeout"],
  ["rate", "raises rate_limited"],
  ["model error", "raises model_error"],
  ["late failure", "raises model_error"],
];
let wrong = 0;
const shown = {}; // client, case, mode
const MOST_CHARS = 40; // as in tests/support/openai_shown.py

function textShown(text) {
  const found = [...String(text)];
  return `"${found.length <= MOST_CHARS ? text : `${found.slice(0, MOST_CHARS - 1).join("").trimEnd()}…`}"`;
}

function codeOf(error) {
  for (let one = error; one; one = one.cause ?? one.lastError ?? one.error) {
    if (typeof one.code === "string" && one.code) return one.code;
    const inner = one.data?.error ?? one.data ?? one.error;
    if (inner?.code) return inner.code;
  }
  return `${error?.name}: ${error?.message}`.slice(0, 120);
}

async function rows(client, mode, ask) {
  const name = `${client} ${mode}`;
  for (const [prompt, expected] of ROWS.filter(([prompt]) => prompt in connections)) {
    let found, seen;
    try {
      const { base_url: baseURL, api_key: apiKey } = connections[prompt];
      found = await ask(prompt, { baseURL, apiKey });
      if (found.startsWith(LABEL)) found = found.slice(LABEL.length);
      seen = textShown(found);
    } catch (error) {
      found = `raises ${codeOf(error)}`;
      const named = error?.name && error.name !== "Error" ? error.name : error?.constructor?.name;
      seen = `${named} ${codeOf(error)}`;
    }
    ((shown[client] ??= {})[prompt] ??= {})[mode] = seen;
    const right = found === expected;
    wrong += right ? 0 : 1;
    console.log(`${right ? "ok   " : "WRONG"} ${name}: ${prompt}: ${JSON.stringify(found)?.slice(0, 90)}`);
  }
}

const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

async function openaiNode() {
  const tools = [{ type: "function", function: { name: "weather", parameters } }];
  for (const stream of [false, true]) {
    await rows("openai-node", `chat ${stream ? "stream" : "whole"}`, async (prompt, connection) => {
      const client = new OpenAI({ ...connection, maxRetries: 0 });
      const messages = [{ role: "user", content: prompt }];
      for (;;) {
        const request = { model: "small", messages, tools };
        const message = stream
          ? await client.chat.completions.stream(request).finalMessage()
          : (await client.chat.completions.create(request)).choices[0].message;
        if (!message.tool_calls?.length) return message.content;
        messages.push(message);
        for (const call of message.tool_calls) {
          messages.push({ role: "tool", tool_call_id: call.id, content: "rain" });
        }
      }
    });
    await rows("openai-node", `responses ${stream ? "stream" : "whole"}`, async (prompt, connection) => {
      const client = new OpenAI({ ...connection, maxRetries: 0 });
      const input = [{ role: "user", content: prompt }];
      for (;;) {
        const request = { model: "small", input, tools: [{ type: "function", name: "weather", parameters, strict: false }] };
        const response = stream
          ? await client.responses.stream(request).finalResponse()
          : await client.responses.create(request);
        const calls = response.output.filter((item) => item.type === "function_call");
        if (!calls.length) return response.output_text;
        input.push(...response.output);
        for (const call of calls) {
          input.push({ type: "function_call_output", call_id: call.call_id, output: "rain" });
        }
      }
    });
  }
}

async function aiSdk() {
  const tools = {
    weather: tool({ inputSchema: z.object({ city: z.string() }), execute: async ({ city }) => `rain in ${city}` }),
  };
  for (const api of ["chat", "responses"]) {
    const options = {
      tools,
      stopWhen: stepCountIs(4),
      maxRetries: 0,
      providerOptions: { openai: { store: false } },
    };
    const model = (connection) => createOpenAI(connection)[api]("small");
    await rows("ai-sdk", `${api} whole`, async (prompt, connection) => {
      return (await generateText({ ...options, model: model(connection), prompt })).text;
    });
    await rows("ai-sdk", `${api} stream`, async (prompt, connection) => {
      let text = "";
      const asked = { ...options, model: model(connection), prompt, onError() {} };
      for await (const part of streamText(asked).fullStream) {
        if (part.type === "error") throw part.error;
        if (part.type === "text-delta") text += part.text;
      }
      return text;
    });
  }
}

async function langchain() {
  const weather = langchainTool(async ({ city }) => `rain in ${city}`, {
    name: "weather",
    description: "Weather of a city.",
    schema: z.object({ city: z.string() }),
  });
  for (const useResponsesApi of [false, true]) {
    const bound = ({ baseURL, apiKey }) =>
      new ChatOpenAI({ model: "small", apiKey, maxRetries: 0, useResponsesApi, configuration: { baseURL } }).bindTools([
        weather,
      ]);
    for (const stream of [false, true]) {
      await rows("langchain-js", `${useResponsesApi ? "responses" : "chat"} ${stream ? "stream" : "whole"}`, async (prompt, connection) => {
        const model = bound(connection);
        const messages = [new HumanMessage(prompt)];
        for (;;) {
          let answer;
          if (stream) {
            for await (const chunk of await model.stream(messages)) {
              answer = answer === undefined ? chunk : answer.concat(chunk);
            }
          } else {
            answer = await model.invoke(messages);
          }
          if (!answer.tool_calls?.length) return answer.text;
          messages.push(
            new AIMessage({ content: answer.content, tool_calls: answer.tool_calls, response_metadata: answer.response_metadata }),
          );
          for (const call of answer.tool_calls) {
            messages.push(new ToolMessage({ tool_call_id: call.id, content: await weather.invoke(call.args) }));
          }
        }
      });
    }
  }
}

await Promise.all([openaiNode(), aiSdk(), langchain()]);
if (process.argv[3]) writeFileSync(process.argv[3], JSON.stringify(shown));
console.log(`${wrong} wrong`);
process.exit(wrong ? 1 : 0);
