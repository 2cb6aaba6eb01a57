// Vercel AI SDK with its base URL changed; the model's tool calls are decided before they reach this program.
// `node weather.mjs "What is the weather in Bonn?"`
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, stepCountIs, tool } from "ai";
import { z } from "zod";

const endocrine = createOpenAI({
  baseURL: `${process.env.ENDOCRINE_URL ?? "http://127.0.0.1:8080"}/openai/v1`,
  apiKey: process.env.ENDOCRINE_API_KEY ?? "none-on-loopback",
});
const weather = tool({
  description: "The weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `rain in ${city}`, // runs for calls that were allowed alone
});
const { text } = await generateText({
  model: endocrine.chat("gpt-4.1-mini"),
  prompt: process.argv[2],
  tools: { weather },
  stopWhen: stepCountIs(5),
});
console.log(text);
