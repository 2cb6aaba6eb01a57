"""The OpenAI-compatible endpoint: an application changes its base URL and nothing else (docs: applications).

`endpoint` has the routes; `port` is what they need of the gateway. Everything else is pure: `chat_request` and
`responses_request` read requests, `opening` and `continuation` say what a turn needs, `window` and `call_holder` say
what may pass, `chat_encoder` and `responses_encoder` write answers.
"""
