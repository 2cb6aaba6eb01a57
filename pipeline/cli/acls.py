"""`endocrine acls`: what each role needs on a Kafka with an authorizer."""

import sys
from typing import Annotated

import orjson
import typer

from endocrine.pipeline.cli.acl_roles import ROLES, acls_of
from endocrine.pipeline.cli.common import Bootstrap, fail, on_broker, settings_of
from endocrine.pipeline.cli.group import command_group
from endocrine.pipeline.kafka import acls
from endocrine.pipeline.process.settings import Settings

Role = Annotated[str, typer.Option(metavar="ROLE", help=f"One of {', '.join(ROLES)}.")]
Principal = Annotated[
    str | None, typer.Option(metavar="User:NAME", help="Whom to grant it. Default: User: and the role.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = command_group("ACLs of Kafka: what each role needs, granted and checked.")
    group.command("print")(print_acls)
    group.command("apply")(apply)
    group.command("check")(check)
    app.add_typer(group, name="acls")


def print_acls(role: Role, principal: Principal = None, as_json: Json = False) -> None:
    """Print what a role needs as calls of Kafka's own kafka-acls.sh. Needs no broker."""
    settings, whom = Settings(), _principal(role, principal)
    found = acls_of(role, settings)
    if as_json:
        for acl in found:
            sys.stdout.buffer.write(orjson.dumps({"principal": whom, **acl._asdict()}) + b"\n")
        return
    print("\n".join(acls.commands(found, whom, settings.bootstrap)))


def apply(role: Role, principal: Principal = None, bootstrap: Bootstrap = None) -> None:
    """Create the ACLs of a role, with our credentials, which need ALTER on the cluster.

    Exit codes: 0 created, 2 the broker does not take them.
    """
    whom = _principal(role, principal)
    settings = settings_of(bootstrap)
    found = acls_of(role, settings)
    try:
        on_broker(settings, acls.create(settings, whom, found))
    except acls.AclsRefused as error:
        fail(str(error))
    print(f"{len(found)} ACLs of the role {role} granted to {whom}")


def check(role: Role, as_json: Json = False, bootstrap: Bootstrap = None) -> None:
    """Say which permissions of a role our own credentials lack. Exit codes: 0 none, 1 some, 2 no broker."""
    _principal(role, None)
    settings = settings_of(bootstrap)
    lacking = on_broker(settings, acls.missing(settings, acls_of(role, settings)))
    if as_json:
        for acl in lacking:
            sys.stdout.buffer.write(orjson.dumps(acl._asdict()) + b"\n")
    elif lacking:
        print(acls.lacking_lines(settings, role, lacking))
    if lacking:
        raise typer.Exit(1)


def _principal(role: str, principal: str | None) -> str:
    if role not in ROLES:
        fail(f"--role: a text of {len(role)} characters; expected one of {', '.join(ROLES)}")
    if principal is not None and not principal.startswith("User:"):
        fail(f"--principal: a text of {len(principal)} characters; expected User:NAME")
    return principal or f"User:{role}"
