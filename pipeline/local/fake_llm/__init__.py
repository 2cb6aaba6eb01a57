"""A scripted stand-in for a language model: a local HTTP server that serves both OpenAI APIs with answers from a file.

For tests and for `endocrine chat --demo`. It is no model and never pretends to be one: every answer begins with the
script's label, the model is named `scripted`, and each response carries the header `x-scripted`.
"""
