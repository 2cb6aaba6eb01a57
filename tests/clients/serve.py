"""Serve the OpenAI-compatible endpoint over scripted turns; the base URL is the first line of the output.

Run from the top folder: `PYTHONPATH=tests/support python tests/clients/serve.py`. It ends with its standard input.
Keys: `good`, `watch` (observe). Prompts and what they bring: `standard_port` in tests/support/scripted_turns.py.
"""

import sys

from endocrine.pipeline.gateway.openai.port import ApplicationRules
from scripted_turns import served, standard_port

if __name__ == "__main__":
    port = standard_port()
    if "--windowed" in sys.argv:
        port.application = ApplicationRules(stream="windowed")
    with served(port, heartbeat_s=0.1) as base_url:
        print(base_url, flush=True)
        sys.stdin.read()
