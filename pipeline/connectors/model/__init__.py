"""The model connector: `model-requests` in, one call to an OpenAI-compatible provider, `model-replies` out.

`effect` retries within the deadline and keeps account; `ask` makes one call: `wire` writes the request (pure),
`transport` sends it, `decoding`, `sse` and `reading` turn the bytes that come into a reply within bounds;
`chat_replies` and `response_replies` know the two APIs, `tool_calls` and `content` their parts, `provider_errors` what
servers answer in place of a reply; `failures` lists why there may be none.
"""
