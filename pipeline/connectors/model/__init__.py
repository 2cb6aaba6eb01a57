"""The model connector: `model-requests` in, one call to an OpenAI-compatible provider, `model-replies` out.

`wire` speaks the two APIs (pure), `ask` makes one HTTP call, `effect` retries within the deadline and keeps account.
"""
