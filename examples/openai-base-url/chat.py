"""The OpenAI client with its base URL changed; nothing else is Endocrine's. `python chat.py "How are you?"`."""

import os
import sys

import openai

if len(sys.argv) != 2:
    sys.exit(f'usage: python {sys.argv[0]} "How long do refunds take?"')
client = openai.OpenAI(base_url=os.environ.get("ENDOCRINE_URL", "http://127.0.0.1:8080") + "/openai/v1",
                       api_key=os.environ.get("ENDOCRINE_API_KEY", "none-on-loopback"))  # fmt: skip
for chunk in client.chat.completions.create(
    model="gpt-4.1-mini", messages=[{"role": "user", "content": sys.argv[1]}], user="ann", stream=True
):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print(f"\nwhy it was so: endocrine explain {chunk.endocrine['audit_id']}")  # the last chunk says what was decided
