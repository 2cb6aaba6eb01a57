"""Tools with the shipped registry, on a small web: 127.0.0.2 plays the public one, 127.0.0.1 is private."""

import time
from collections import defaultdict

import orjson
import pytest
from aiohttp import web

from endocrine.agents._shared.arguments import digest_of, read_arguments
from endocrine.pipeline.connectors.contract import Request
from endocrine.pipeline.connectors.tools.addresses import is_public
from endocrine.pipeline.connectors.tools.calls import Found, HeldCalls
from endocrine.pipeline.connectors.tools.effect import ToolEffect
from endocrine.pipeline.connectors.tools.fetch import Fetcher
from endocrine.pipeline.connectors.tools.handler import Call
from endocrine.pipeline.connectors.tools.settings import ToolSettings
from endocrine.schemas.tools import ToolCall
from policies import tool_policy


@pytest.fixture(scope="session")
def make_policy():
    """See `policies.tool_policy`."""
    return tool_policy


@pytest.fixture(scope="session")
def rules(make_policy):
    return make_policy().document.gating


@pytest.fixture
def make_call():
    def make(tool="retrieval", arguments=None, *, idempotent=True, timeout_s=5.0):
        return Call("c1", "turn", "ann", tool, arguments or {}, idempotent, timeout_s, 1000.0)

    return make


class KnownCalls:
    """Calls that are on record, without a broker."""

    def __init__(self):
        self.held = HeldCalls()

    def add(self, value, source="", age_s=0.0):
        self.held.add(Found(ToolCall(**value), source, time.time() - age_s), value["identity"], 100)

    def known(self, key):
        return self.held.get(key)

    async def find(self, partition, key):
        return self.known(key)

    async def is_recent(self, topic, partition, offset, since):
        """The offset of a record is the second at which it was appended."""
        return offset >= since

    async def close(self):
        pass


@pytest.fixture
def make_effect(make_policy):
    def make(handlers, policy=None, *, deadline_s=60.0, **settings):
        calls = KnownCalls()
        own = ToolSettings(**{"calls": "all", **settings})
        effect = ToolEffect(policy or make_policy(), handlers, calls, own, deadline_s=deadline_s, decision_s=15.0)
        return effect, calls

    return make


@pytest.fixture
def a_call():
    def make(tool="retrieve_knowledge", arguments=None, **other):
        value = {"call_id": "c1", "audit_id": "turn", "identity": "ann", "tool": tool, "step": 1, "ts": 1000.0}
        return {**value, "arguments": {"query": "x"} if arguments is None else arguments, **other}

    return make


@pytest.fixture
def a_request():
    def make(call, tool, *, age_s=0.0, origin=None, **other):
        decision = {name: call[name] for name in ("call_id", "audit_id", "identity", "ts")}
        decision |= {"function": call["tool"], "tool": tool, "decision": "allowed", "reason": None}
        read = read_arguments(call["arguments"], 32)
        decision["arguments_digest"] = "0" * 64 if read is None else digest_of(read)
        return Request(
            {**decision, "incident_id": None, "policy": "0" * 64, **other}, call["identity"], 0, 0, age_s, origin=origin
        )

    return make


class Site:
    """A web server that remembers what it was asked for. Answers by path; unknown paths are 404."""

    def __init__(self, host):
        self.host = host
        self.asked = []
        self.pages = {}
        self.failing = defaultdict(int)

    async def _answer(self, request):
        self.asked.append((request.method, request.path_qs, dict(request.headers), await request.read()))
        if self.failing[request.path] > 0:
            self.failing[request.path] -= 1
            return web.Response(status=503)
        page = self.pages.get(request.path)
        if page is None:
            return web.Response(status=404)
        return await page(request) if callable(page) else web.Response(**page)

    async def start(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self):
        await self._runner.cleanup()

    def url(self, path="/"):
        return f"http://{self.host}:{self.port}{path}"


@pytest.fixture
async def public_site():
    site = Site("127.0.0.2")
    await site.start()
    yield site
    await site.stop()


@pytest.fixture
async def private_site():
    site = Site("127.0.0.1")
    site.pages["/"] = {"text": "the crown jewels"}
    await site.start()
    yield site
    await site.stop()


@pytest.fixture
def fetcher():
    """A fetcher that knows these names only, and takes 127.0.0.2 for public. names: name to list of answers in turn."""

    def make(names=None, **options):
        answers = {name: list(found) for name, found in (names or {}).items()}

        async def resolve(host, port):
            if host not in answers:
                raise OSError("no such name")
            found = answers[host]
            return found.pop(0) if len(found) > 1 else found[0]

        return Fetcher(resolve=resolve, allowed=lambda address: address == "127.0.0.2" or is_public(address), **options)

    return make


@pytest.fixture(scope="session")
def as_json():
    return lambda value: orjson.loads(orjson.dumps(value))
