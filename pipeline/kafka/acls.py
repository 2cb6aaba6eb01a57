"""ACLs on a broker: how Kafka's tools write them, and creating, deleting and checking them over aiokafka."""

import shlex
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Literal, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, for_code
from aiokafka.protocol.admin import CreateAclsRequest_v1, DeleteAclsRequest_v1
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from endocrine.pipeline.kafka.connection import admin_client
from endocrine.pipeline.process.settings import Settings

Operation = Literal["READ", "WRITE", "CREATE", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS", "DELETE"]
_RESOURCES = {"TOPIC": 2, "GROUP": 3}
_PATTERNS = {"LITERAL": 3, "PREFIXED": 4}
_OPERATIONS = {
    "READ": 3,
    "WRITE": 4,
    "CREATE": 5,
    "DELETE": 6,
    "DESCRIBE": 8,
    "DESCRIBE_CONFIGS": 10,
    "ALTER_CONFIGS": 11,
}
"""Codes of Kafka's protocol (AclOperation); the bits of authorized operations are numbered alike."""
_ALLOW, _NO_ERROR, _NO_TOPIC = 3, 0, 3
_ANSWERED = (_NO_ERROR, _NO_TOPIC)
_ANY_HOST = "*"


class Acl(NamedTuple):
    """One permission, of a principal that is named beside it."""

    resource: Literal["TOPIC", "GROUP"]
    name: str
    operation: Operation
    pattern: Literal["LITERAL", "PREFIXED"] = "LITERAL"

    def __str__(self) -> str:
        of = "every " if self.pattern == "PREFIXED" else ""
        return f"{self.operation} on {of}{self.resource.lower()} {self.name}{'*' if of else ''}"


class AclsRefused(RuntimeError):
    """The broker does not take ACLs, or a permission is missing. The message names which, and what to do."""


def commands(acls: Iterable[Acl], principal: str, bootstrap: str) -> list[str]:
    """Return lines for a shell: one call of kafka-acls.sh per resource."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for acl in acls:
        grouped.setdefault((acl.resource, acl.name, acl.pattern), []).append(acl.operation)
    lines = []
    for (resource, name, pattern), operations in grouped.items():
        words = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--command-config", "admin.properties", "--add"]
        words += ["--allow-principal", principal]
        for operation in operations:
            words += ["--operation", "".join(part.title() for part in operation.split("_"))]
        words += [f"--{resource.lower()}", name, *(["--resource-pattern-type", "prefixed"] * (pattern == "PREFIXED"))]
        lines.append(shlex.join(words))
    return lines


async def create(settings: Settings, principal: str, acls: Sequence[Acl]) -> None:
    """Create them; those that exist stay. Raises AclsRefused, aiokafka's KafkaError."""
    async with _started(settings) as admin:
        answer = await admin._send_request(_Create([_entry(acl, principal) for acl in acls]))
        _check([(code, message) for code, message in answer.creation_responses], settings)


async def delete(settings: Settings, principal: str, acls: Sequence[Acl]) -> int:
    """Delete exactly these; return how many there were. Raises AclsRefused, aiokafka's KafkaError."""
    async with _started(settings) as admin:
        answer = await admin._send_request(_Delete([_entry(acl, principal) for acl in acls]))
        _check([(found[0], found[1]) for found in answer.filter_responses], settings)
        return sum(len(found[2]) for found in answer.filter_responses)


async def missing(settings: Settings, acls: Sequence[Acl]) -> list[Acl]:
    """Return which of these the principal of the settings lacks, as the broker answers it. Raises KafkaError.

    One request for all topics, and one for each group. A topic that may not be described, or does not exist, has none.
    """
    async with _started(settings) as admin:
        topics = sorted({acl.name for acl in acls if acl.resource == "TOPIC" and acl.pattern == "LITERAL"})
        allowed = {("TOPIC", name): bits for name, bits in (await _topic_bits(admin, topics)).items()}
        for group in sorted({acl.name for acl in acls if acl.resource == "GROUP"}):
            allowed["GROUP", group] = await _group_bits(admin, group)
    return [
        acl
        for acl in acls
        if acl.pattern == "LITERAL" and not allowed.get((acl.resource, acl.name), 0) >> _OPERATIONS[acl.operation] & 1
    ]


async def require(settings: Settings, role: str, acls: Sequence[Acl]) -> None:
    """Check that nothing is missing, where connections are secured. Raises AclsRefused with a line for each that is."""
    if settings.secured and (lacking := await missing(settings, acls)):
        raise AclsRefused(lacking_lines(settings, role, lacking))


def lacking_lines(settings: Settings, role: str, lacking: Sequence[Acl]) -> str:
    """Return what to say of permissions that are missing."""
    lines = "\n".join(f"  {acl}" for acl in lacking)
    return (
        f"{settings.kafka_principal} lacks {len(lacking)} of the ACLs of the role {role} (or what they are for does not"
        f" exist):\n{lines}\n`endocrine acls apply --role {role}` grants them, `endocrine topics create` makes topics"
    )


@asynccontextmanager
async def _started(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = admin_client(settings)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def _entry(acl: Acl, principal: str) -> tuple[Any, ...]:
    place = _RESOURCES[acl.resource], acl.name, _PATTERNS[acl.pattern]
    return (*place, principal, _ANY_HOST, _OPERATIONS[acl.operation], _ALLOW)


def _check(answers: Iterable[tuple[int, str | None]], settings: Settings) -> None:
    for code, message in answers:
        if code != _NO_ERROR:
            raise AclsRefused(
                f"the broker at {settings.bootstrap} refuses the ACLs ({message or for_code(code).__name__});"
                f" {settings.kafka_principal} needs ALTER on the cluster, and the broker an authorizer"
            )


async def _topic_bits(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, int]:
    answer = await admin._send_request(_AuthorizedMetadata(topics))
    # A topic that does not exist and may be described is no question of ACLs: whoever creates it is asked then.
    return {topic[1]: -1 if topic[0] == _NO_TOPIC else topic[4] for topic in answer.topics if topic[0] in _ANSWERED}


async def _group_bits(admin: AIOKafkaAdminClient, group: str) -> int:
    # aiokafka cannot ask for a group's operations. Whoever may READ may describe; a READ that lacks beside a DESCRIBE
    # that does not is not seen.
    # Any other error says nothing about ACLs: on a new cluster there is no coordinator before the first group.
    try:
        (answer,) = await admin.describe_consumer_groups([group])
    except GroupAuthorizationFailedError:
        return 0
    except KafkaError:
        return -1
    (described,) = answer.groups
    refused = described[0] == GroupAuthorizationFailedError.errno
    return 0 if refused else 1 << _OPERATIONS["READ"] | 1 << _OPERATIONS["DESCRIBE"]


class _Create(Request[CreateAclsRequest_v1]):  # type: ignore[misc]
    """Many at once: aiokafka's own request holds one."""

    API_KEY = 30

    def __init__(self, entries: list[tuple[Any, ...]]) -> None:
        self._entries = entries

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> CreateAclsRequest_v1:
        return request_struct_class(self._entries)


class _Delete(Request[DeleteAclsRequest_v1]):  # type: ignore[misc]
    """Many at once."""

    API_KEY = 31

    def __init__(self, entries: list[tuple[Any, ...]]) -> None:
        self._entries = entries

    def build(self, request_struct_class: type[DeleteAclsRequest_v1]) -> DeleteAclsRequest_v1:
        return request_struct_class(self._entries)


class _MetadataResponse_v8(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataRequest_v8(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse_v8
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _AuthorizedMetadata(Request[_MetadataRequest_v8]):  # type: ignore[misc]
    """Topics with what we may do on them; aiokafka stops at version 5, which cannot ask."""

    API_KEY: ClassVar[int] = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequest_v8]) -> _MetadataRequest_v8:
        return request_struct_class(self._topics, False, False, True)
