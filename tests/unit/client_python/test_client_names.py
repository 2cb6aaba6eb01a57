"""Commands to the registry of names by the Python client: the outcome, or an error that says what is known."""

import json

import httpx
import pytest

from endocrine_client import Endocrine, NameNotTaken, SyncEndocrine

REFUSED = {"type": "/problems/conflict", "outcome": {"kind": "refused", "reason": "taken"}}


def client(kind, status, value, sent):
    def handle(request):
        sent.append((str(request.url), json.loads(request.content)))
        return httpx.Response(status, json=value)

    return kind("http://gateway.test", spool=False, transport=httpx.MockTransport(handle))


async def test_the_outcome_of_a_command_is_given_by_both_clients():
    outcome, sent = {"kind": "registered", "name": "p05"}, []
    with client(SyncEndocrine, 200, {"id": "c", "outcome": outcome}, sent) as endocrine:
        assert endocrine.register_name("project", "p05", "p05-x") == outcome
        assert endocrine.release_name("project", "p05") == outcome
    async with client(Endocrine, 200, {"id": "c", "outcome": outcome}, sent) as endocrine:
        assert await endocrine.register_name("project", "p05-x") == outcome
        assert await endocrine.release_name("project", "p05") == outcome
    assert {url for url, _ in sent} == {"http://gateway.test/v1/names?wait=5"}
    assert [value for _, value in sent] == [
        {"kind": "register_name", "scope": "project", "name": "p05", "registered_id": "p05-x"},
        {"kind": "release_name", "scope": "project", "name": "p05"},
        {"kind": "register_name", "scope": "project", "name": "p05-x"},
        {"kind": "release_name", "scope": "project", "name": "p05"},
    ]


@pytest.mark.parametrize(
    ("status", "value", "reason", "said"),
    [
        (409, REFUSED, "taken", "taken"),
        (202, {"id": "c", "outcome": None}, None, "on record"),
        (503, {}, None, "did not take"),
        (200, {}, None, "did not take"),
    ],
)
def test_whatever_is_no_outcome_is_raised(status, value, reason, said):
    with client(SyncEndocrine, status, value, []) as endocrine, pytest.raises(NameNotTaken, match=said) as raised:
        endocrine.register_name("project", "p05")
    assert raised.value.reason == reason
