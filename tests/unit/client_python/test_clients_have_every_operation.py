"""Every route of memory and operators is one operation of both clients: what one door has, each of them has."""

import re
from pathlib import Path

import orjson
import pytest

from endocrine_client.operations import Operations

ROOT = Path(__file__).parents[3] / "clients"
BEGIN = ("/v1/names", "/v1/trusted", "/v1/interactions", "/v1/memories", "/v1/conflicts", "/v1/context", "/v1/bonds")
PATHS = [
    path
    for path in orjson.loads((ROOT / "typescript" / "openapi.json").read_bytes())["paths"]
    if path.startswith(BEGIN) or re.match(r"/v1/identities/\{identity\}/(links|group)", path)
]
PYTHON = "".join(file.read_text() for file in (ROOT / "python" / "src" / "endocrine_client").glob("*.py"))
TYPESCRIPT = (ROOT / "typescript" / "src" / "operations.ts").read_text()


def test_the_routes_were_read():
    assert len(PATHS) >= 20


@pytest.mark.parametrize("path", PATHS)
def test_the_typescript_client_has_the_route(path):
    assert f'"{path}"' in TYPESCRIPT


@pytest.mark.parametrize("path", PATHS)
def test_the_python_client_has_the_route(path):
    """By its first and last words, with a name in between."""
    begin, _, end = path.partition("{")
    verb = end.rpartition("/")[2] if "/" in end else ""
    assert begin.rstrip("/") in PYTHON
    assert not verb or re.search(rf'["/]{verb}"', PYTHON), verb


def test_operations_of_both_clients_have_the_same_names():
    python = {name.replace("_", "") for name in vars(Operations) if not name.startswith("_")}
    typescript = {name.lower() for name in re.findall(r"^  (\w+)\(", TYPESCRIPT, re.MULTILINE)}
    naming = {"nameregister", "namerelease"}  # in Python `register_name` and `release_name`, which are older
    assert python ^ (typescript - naming) <= {"constructor"}, python ^ typescript
