"""The registry of names: which id a name means. The agent is called `registry`; `agents/registry.py` lists agents."""
