"""On a secured broker the gateway looks at its ACLs before it serves, as every process does."""

import pytest
import typer
from typer.testing import CliRunner

from endocrine.pipeline.cli import gateway
from endocrine.pipeline.gateway import server
from endocrine.pipeline.kafka import acls
from endocrine.pipeline.process.settings import Settings


def test_a_gateway_that_lacks_an_acl_does_not_serve_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def missing(settings: Settings, wanted: list[acls.Acl]) -> list[acls.Acl]:
        return [acl for acl in wanted if acl == acls.Acl("TOPIC", "endocrine.interactions", "WRITE")]

    def serve(*_: object) -> int:
        raise AssertionError("it serves")

    monkeypatch.setattr(acls, "missing", missing)
    monkeypatch.setattr(server, "main", serve)
    monkeypatch.setenv("ENDOCRINE_KAFKA_SECURITY", "SASL_SSL")
    monkeypatch.setenv("ENDOCRINE_KAFKA_USER", "door")
    monkeypatch.setenv("ENDOCRINE_KAFKA_PASSWORD", "p")
    app = typer.Typer()
    gateway.register(app)
    done = CliRunner().invoke(app, ["--bootstrap", "127.0.0.1:1"])
    assert done.exit_code == 2, (done.output, done.exception)
    assert "lacks 1 of the ACLs of the role gateway" in done.stderr
    assert "WRITE on topic endocrine.interactions" in done.stderr
