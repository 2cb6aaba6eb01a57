"""Connections to Kafka: every client of ours is made here, with the security that the settings name."""

import asyncio
import ssl
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from endocrine.pipeline.process.certificates import causes, untrusted
from endocrine.pipeline.process.connection_settings import read_secret
from endocrine.pipeline.process.settings import Settings

PROBE_MS = 5_000
"""Milliseconds that the connection which asks why others failed may take."""


class FileToken(AbstractTokenProvider):  # type: ignore[misc]
    """The token of OAUTHBEARER from a file, which whoever renews it writes anew."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def token(self) -> str:
        """Return the token as the file has it now. Raises SettingsError."""
        assert self._settings.kafka_token_file is not None
        return await asyncio.to_thread(read_secret, self._settings.kafka_token_file, "kafka_token_file")


def client_options(settings: Settings) -> dict[str, Any]:
    """Return what every client of aiokafka is given: servers, protocol, credentials. Raises SettingsError."""
    return {"bootstrap_servers": settings.bootstrap, **security_options(settings)}


def security_options(settings: Settings) -> dict[str, Any]:
    """Return the protocol and the credentials, as aiokafka takes them. Raises SettingsError."""
    if settings.kafka_security == "PLAINTEXT":
        return {}
    options: dict[str, Any] = {"security_protocol": settings.kafka_security, "ssl_context": settings.kafka_tls()}
    if settings.kafka_security.startswith("SASL"):
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        if settings.kafka_sasl_mechanism == "OAUTHBEARER":
            options["sasl_oauth_token_provider"] = FileToken(settings)
        else:
            options["sasl_plain_username"] = settings.kafka_user
            options["sasl_plain_password"] = settings.secret("kafka_password")
    return options


def producer(settings: Settings, **options: Any) -> AIOKafkaProducer:
    """Return a producer, to be started and stopped. options: of AIOKafkaProducer."""
    return AIOKafkaProducer(**client_options(settings) | options)


def admin_client(settings: Settings, **options: Any) -> AIOKafkaAdminClient:
    """Return an admin client, to be started and closed. options: of AIOKafkaAdminClient."""
    return AIOKafkaAdminClient(**client_options(settings) | options)


def plain_client(settings: Settings, **options: Any) -> AIOKafkaClient:
    """Return a client for single requests, to be bootstrapped and closed. options: of AIOKafkaClient."""
    return AIOKafkaClient(**client_options(settings) | options)


async def why_refused(settings: Settings, *, guess: bool = False) -> str | None:
    """Return why no connection comes about, in a sentence that names the setting; None where no server answers at all,
    or one connects.

    guess: whether to name the likely reason where a server answers and drops the connection; one that is just starting
    does that too. Clients of aiokafka say of a wrong password and a wrong certificate only that they could not connect.
    """
    host, _, port = settings.bootstrap.split(",")[0].strip().rpartition(":")
    options = {name: value for name, value in security_options(settings).items() if value is not None}
    try:
        connection = await create_conn(host, int(port), request_timeout_ms=PROBE_MS, **options)
        if settings.kafka_security.startswith("SASL") and settings.kafka_sasl_mechanism == "OAUTHBEARER":
            # A token that is refused is answered without an error code, which aiokafka takes for success.
            return await _token_refused(settings, connection)
    except (KafkaError, OSError, TimeoutError, EOFError) as error:
        if (reason := refusal(settings, error)) or not guess or isinstance(error, ConnectionRefusedError):
            return reason
        return _dropped(settings)
    connection.close()
    return None


async def _token_refused(settings: Settings, connection: Any) -> str | None:
    try:
        # The broker answers whoever is not known yet with an error, and with no broker.
        known = bool((await connection.send(MetadataRequest([]))).brokers)
    except KafkaError:
        known = False
    finally:
        connection.close()
    return None if known else refusal(settings, SaslAuthenticationFailed())


def refusal(settings: Settings, error: BaseException) -> str | None:
    """Return what an error of a connection or of an authorizer means, in a sentence that names the setting or the ACL;
    None for any other error."""
    where, who = settings.bootstrap, settings.kafka_principal
    for cause in causes(error):
        match cause:
            case SaslAuthenticationFailed() | IllegalSaslStateError():
                if settings.kafka_sasl_mechanism == "OAUTHBEARER":
                    given = "ENDOCRINE_KAFKA_TOKEN_FILE (expired, or of another issuer?)"
                else:
                    given = "ENDOCRINE_KAFKA_USER, ENDOCRINE_KAFKA_PASSWORD or ENDOCRINE_KAFKA_PASSWORD_FILE"
                return f"the broker at {where} refused the credentials of {who}: check {given}"
            case UnsupportedSaslMechanismError():
                return (
                    f"the broker at {where} does not take ENDOCRINE_KAFKA_SASL_MECHANISM="
                    f"{settings.kafka_sasl_mechanism} on this listener"
                )
            case ssl.SSLCertVerificationError():
                return untrusted(f"the broker at {where}", cause, address="ENDOCRINE_BOOTSTRAP",
                                 ca="ENDOCRINE_KAFKA_CA_FILE", ca_file=settings.kafka_ca_file)  # fmt: skip
            case ssl.SSLError() if "ALERT" in str(cause.reason) or "alert" in str(cause):
                return (
                    f"the broker at {where} refused our certificate ({cause.reason}): check"
                    " ENDOCRINE_KAFKA_CERTIFICATE_FILE and ENDOCRINE_KAFKA_KEY_FILE"
                )
            case ssl.SSLError():
                return (
                    f"the broker at {where} does not speak TLS ({cause.reason}): check the port, and"
                    f" ENDOCRINE_KAFKA_SECURITY={settings.kafka_security}"
                )
            case TopicAuthorizationFailedError():
                return f"{who} may not use {_named(cause)}; {_GRANT}"
            case GroupAuthorizationFailedError():
                return f"{who} may not READ the consumer group {_named(cause)}; {_GRANT}"
            case ClusterAuthorizationFailedError():
                return f"{who} may not do this on the cluster; {_GRANT}"
    return None


_GRANT = "`endocrine acls print --role ROLE` lists what its role needs, `endocrine acls check` what is missing"


def _dropped(settings: Settings) -> str:
    """A listener of another protocol closes the connection, or waits for what never comes."""
    return (
        f"the broker at {settings.bootstrap} did not answer as expected: is the listener's protocol another than"
        f" ENDOCRINE_KAFKA_SECURITY={settings.kafka_security}, or does it want a certificate"
        " (ENDOCRINE_KAFKA_CERTIFICATE_FILE)?"
    )


def _named(error: KafkaError) -> str:
    return ", ".join(map(str, error.args)) or "a topic"
