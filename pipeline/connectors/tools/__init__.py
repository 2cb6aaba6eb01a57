"""The tool connector: runs the calls that the gate allowed, and nothing else (rules, section 4; docs/connectors.md).

One call's way: `effect.py` (decision in, result out) -> `calls.py` (the call's arguments) -> `registry.py` (which
handler) -> a handler -> `results.py` (redacted, bounded). `check.py` proves afterwards that nothing ran unallowed.
"""
