"""`endocrine mcp`, by the package's own client over stdio: a thin frontend of the gateway that only reads."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture
def gateway():
    """A gateway that answers as it is given, and keeps what it was asked."""
    asked, answers = [], {}

    class Door(BaseHTTPRequestHandler):
        def _answer(self):
            size = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            asked.append((self.command, self.path, body, self.headers.get("authorization")))
            status, value = answers.get(self.path.partition("?")[0], (200, {"items": []}))
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer

        def log_message(self, *_):
            pass

    door = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    door.asked, door.answers, door.url = asked, answers, f"http://127.0.0.1:{door.server_port}"
    yield door
    door.shutdown()
    door.server_close()


def assistant(url, *arguments):
    env = {"ENDOCRINE_URL": url, "ENDOCRINE_API_KEY": "k1", "ENDOCRINE_IDENTITY": "ann"}
    from mcp import Client, StdioServerParameters  # here: each process of a run imports this file, and one runs it

    command = ["-m", "endocrine.pipeline.cli", "mcp", *arguments]
    return Client(StdioServerParameters(command=sys.executable, args=command, env=env))


async def test_an_assistant_reads_context_the_queue_trusted_state_and_explanations(gateway):
    gateway.answers["/v1/context"] = (200, {"formatted_context": "[decision] pad: PEEK (curated)"})
    gateway.answers["/v1/audits/nothing"] = (404, {"type": "/problems/not_found", "detail": "no such bundle"})
    async with assistant(gateway.url) as client:
        tools = {one.name: one for one in (await client.list_tools()).tools}
        assert set(tools) == {"context", "memory_queue", "trusted_state", "explain"}
        assert all(one.annotations.read_only_hint for one in tools.values())
        pack = await client.call_tool("context", {"prompt": "Which pad?", "project": "pump"})
        assert pack.structured_content == {"formatted_context": "[decision] pad: PEEK (curated)"}
        await client.call_tool("context", {"prompt": "Which pad has the pump?", "whose": "bob"})
        await client.call_tool("memory_queue", {"subject": "project:p05", "limit": 5})
        await client.call_tool("trusted_state", {"subject": "project:p05", "category": "decision"})
        await client.call_tool("explain", {"audit_id": "a1"})
        unknown = await client.call_tool("explain", {"audit_id": "nothing"})
        assert unknown.is_error
        assert "no such bundle" in unknown.content[0].text
        assert (await client.call_tool("memory_queue", {"subject": "ann", "limit": 0})).is_error
    assert [one[:3] for one in gateway.asked] == [
        ("POST", "/v1/context", {"identity": "ann", "prompt": "Which pad?", "project": "pump", "auto": False}),
        ("POST", "/v1/context", {"identity": "bob", "prompt": "Which pad has the pump?", "auto": True}),
        ("GET", "/v1/memories?subject=project%3Ap05&status=candidate&limit=5", None),
        ("GET", "/v1/trusted/project%3Ap05?category=decision", None),
        ("GET", "/v1/audits/a1", None),
        ("GET", "/v1/audits/nothing", None),
    ]
    assert {one[3] for one in gateway.asked} == {"Bearer k1"}


async def test_its_tools_fail_open_while_the_gateway_is_away(gateway):
    gateway.shutdown()
    gateway.server_close()
    async with assistant(gateway.url) as client:
        answer = await client.call_tool("context", {"prompt": "Which pad?"})
        assert answer.structured_content == {"status": "unavailable", "fail_open": True}
