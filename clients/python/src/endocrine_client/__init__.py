"""Govern the model and tool calls of an application by an Endocrine gateway.

    async with Endocrine("http://127.0.0.1:8080") as endocrine:
        async with endocrine.turn(identity="ann", prompt=text) as turn:
            reply = await call_model(**turn.parameters.openai(), tools=turn.functions.openai())
            turn.answer(reply.text, usage=reply.usage)

What must not run is raised (`Denied`, `Pending`, `NotDecided`); captures never raise. What operators write is confirmed
or raised (`Refused`); what they read is `{"status": "unavailable", "fail_open": True}` while the gateway is away.
"""

from endocrine_client.calls import ToolCall
from endocrine_client.client import Endocrine, Turn
from endocrine_client.delivery import Counts
from endocrine_client.errors import Denied, EndocrineError, NameNotTaken, NotAllowed, NotDecided, Pending, Refused
from endocrine_client.parameters import Functions, Parameters
from endocrine_client.protocol import Decision, Modulation
from endocrine_client.sync_client import SyncEndocrine, SyncTurn

__version__ = "0.2.0"
__all__ = [
    "Counts",
    "Decision",
    "Denied",
    "Endocrine",
    "EndocrineError",
    "Functions",
    "Modulation",
    "NameNotTaken",
    "NotAllowed",
    "NotDecided",
    "Parameters",
    "Pending",
    "Refused",
    "SyncEndocrine",
    "SyncTurn",
    "ToolCall",
    "Turn",
]
