"""Every path answers a method that it does not take with 405, and names all that it takes."""

from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.routing import Match, Route
from starlette.testclient import TestClient

from endocrine.pipeline.gateway.app import ROWS
from endocrine.pipeline.gateway.table import Direct, routes_of

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
TAKEN = {path: {row.method for row in ROWS if row.path == path} for path in sorted({row.path for row in ROWS})}
ROUTES = routes_of(ROWS, SimpleNamespace())
CLIENT = TestClient(Starlette(routes=[Direct(ROUTES), *ROUTES]))


def url(path):
    return path.format(
        audit_id="t1", identity="ann", subject="ann", kind="cap", memory_id="m1", conflict_id="c1", call_id="k1"
    )


@pytest.mark.parametrize("path", TAKEN)
def test_a_method_that_a_path_does_not_take_is_405_with_those_it_takes(path):
    for method in METHODS:
        if method not in TAKEN[path]:
            answer = CLIENT.request(method, url(path))
            assert answer.status_code == 405, method
            allowed = {one.strip() for one in answer.headers["allow"].split(",")}
            assert allowed - {"HEAD"} == TAKEN[path]
            assert ("HEAD" in allowed) == ("GET" in TAKEN[path])


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.method} {row.path}" for row in ROWS])
def test_every_row_is_reached_by_its_path_whatever_its_ids_look_like(row):
    scope = {"type": "http", "method": row.method, "path": url(row.path), "headers": []}
    route = next(one for one in ROUTES if one.matches(scope)[0] is Match.FULL)
    assert isinstance(route, Route)
    assert route.path.replace(":id}", "}") == row.path
    assert row.method in (route.methods or ())


@pytest.mark.parametrize("method", [*METHODS, "HEAD"])
def test_a_path_without_parameters_is_found_at_once_and_is_the_route_that_the_list_gives(method):
    direct, found = Direct(ROUTES), 0
    for path in {url(row.path) for row in ROWS}:
        scope = {"type": "http", "method": method, "path": path, "headers": []}
        match, child = direct.matches(scope)
        if match is Match.NONE:
            continue
        assert child["direct"] is next(one for one in ROUTES if one.matches(scope)[0] is Match.FULL)
        found += path in TAKEN
    assert found == sum("{" not in path for path in TAKEN)
