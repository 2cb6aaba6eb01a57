"""Settings that secure connections to Kafka and Redis: protocol, credentials, certificates.

Secrets are given as a variable, or better as a file that is named by the variable with `_FILE`; no text, log or error
of ours holds them.
"""

import ssl
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from endocrine.pipeline.process.environment import EnvironmentSettings, SettingsError


class ConnectionSettings(EnvironmentSettings):
    """How connections are secured. Raises SettingsError where settings contradict each other."""

    kafka_security: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Field(description="Security protocol of Kafka's listener; SASL_PLAINTEXT sends records in the clear."),
    ] = "PLAINTEXT"
    kafka_sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"],
        Field(description="SASL mechanism of Kafka's listener."),
    ] = "SCRAM-SHA-512"
    kafka_user: Annotated[str | None, Field(description="User of SASL PLAIN and SCRAM.")] = None
    kafka_password: Annotated[SecretStr | None, Field(description="Its password; better: the file.")] = None
    kafka_password_file: Annotated[Path | None, Field(description="File that holds the password.")] = None
    kafka_token_file: Annotated[
        Path | None,
        Field(description="File that holds the token of OAUTHBEARER; read again for each connection."),
    ] = None
    kafka_ca_file: Annotated[
        Path | None, Field(description="PEM of the authorities that may sign Kafka's certificate. None: the system's.")
    ] = None
    kafka_certificate_file: Annotated[
        Path | None, Field(description="PEM of our certificate, where Kafka wants one (mTLS).")
    ] = None
    kafka_key_file: Annotated[Path | None, Field(description="PEM of its private key.")] = None
    kafka_key_password: Annotated[SecretStr | None, Field(description="Password of that key.")] = None
    kafka_key_password_file: Annotated[Path | None, Field(description="File that holds it.")] = None

    redis_user: Annotated[str | None, Field(description="Redis ACL user, where the URL names none.")] = None
    redis_password: Annotated[SecretStr | None, Field(description="Its password; better: the file.")] = None
    redis_password_file: Annotated[Path | None, Field(description="File that holds the password.")] = None
    redis_ca_file: Annotated[
        Path | None, Field(description="PEM of the authorities that may sign the certificate of a rediss:// URL.")
    ] = None
    redis_certificate_file: Annotated[Path | None, Field(description="PEM of our certificate for Redis (mTLS).")] = None
    redis_key_file: Annotated[Path | None, Field(description="PEM of its private key.")] = None

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        if problems := list(self._contradictions()):
            raise SettingsError("\n".join(problems))

    def secret(self, field: str) -> str | None:
        """Return a secret: the variable's, else the content of its file without the line end.

        Raises SettingsError where the file cannot be read or is empty.
        """
        given: SecretStr | None = getattr(self, field)
        if given is not None:
            return given.get_secret_value()
        path: Path | None = getattr(self, f"{field}_file")
        return None if path is None else read_secret(path, f"{field}_file")

    @property
    def secured(self) -> bool:
        """Whether Kafka is to know who we are."""
        return self.kafka_security != "PLAINTEXT"

    @property
    def kafka_principal(self) -> str:
        """Who we are to Kafka, as far as settings say; for messages."""
        if self.kafka_security.startswith("SASL") and self.kafka_user:
            return f"User:{self.kafka_user}"
        if self.kafka_security == "SSL" and self.kafka_certificate_file:
            return f"the subject of ENDOCRINE_KAFKA_CERTIFICATE_FILE={self.kafka_certificate_file}"
        if self.kafka_security.startswith("SASL"):
            return f"the subject of the token in ENDOCRINE_KAFKA_TOKEN_FILE={self.kafka_token_file}"
        return "User:ANONYMOUS"

    def kafka_tls(self) -> ssl.SSLContext | None:
        """Return the TLS context, None where the protocol has no TLS. Raises SettingsError: which file, and why."""
        if not self.kafka_security.endswith("SSL"):
            return None
        try:
            context = ssl.create_default_context(cafile=self.kafka_ca_file)
        except (OSError, ssl.SSLError) as error:
            raise _unusable("kafka_ca_file", self.kafka_ca_file, "authorities in PEM", error) from None
        if self.kafka_certificate_file is not None:
            password = self.secret("kafka_key_password")
            try:
                # Never asks at a terminal: a key whose password is missing is an error.
                context.load_cert_chain(self.kafka_certificate_file, self.kafka_key_file, lambda: password or "")
            except (OSError, ssl.SSLError, ValueError) as error:
                what = "a certificate and, in kafka_key_file, its key in PEM (kafka_key_password opens it)"
                raise _unusable("kafka_certificate_file", self.kafka_certificate_file, what, error) from None
        return context

    def _contradictions(self) -> list[str]:
        found = []
        sasl = self.kafka_security.startswith("SASL")
        for field in ("kafka_password", "kafka_key_password", "redis_password"):
            if getattr(self, field) is not None and getattr(self, f"{field}_file") is not None:
                found.append(f"{_variable(field)} and {_variable(field)}_FILE: both are given; expected one of them")
        if sasl and self.kafka_sasl_mechanism == "OAUTHBEARER":
            if self.kafka_token_file is None:
                found.append("ENDOCRINE_KAFKA_TOKEN_FILE: not given; expected the file of a token for OAUTHBEARER")
        elif sasl:
            if not self.kafka_user:
                found.append(f"ENDOCRINE_KAFKA_USER: not given; expected a user for {self.kafka_sasl_mechanism}")
            if self.kafka_password is None and self.kafka_password_file is None:
                found.append("ENDOCRINE_KAFKA_PASSWORD_FILE: not given; expected it, or ENDOCRINE_KAFKA_PASSWORD")
        elif self.kafka_user or self.kafka_password or self.kafka_password_file or self.kafka_token_file:
            found.append(
                f"ENDOCRINE_KAFKA_SECURITY: {self.kafka_security}, which sends no credentials, though some are given;"
                " expected SASL_SSL"
            )
        return found


def read_secret(path: Path, field: str) -> str:
    """Return the content of a secret's file. Raises SettingsError, never with the content."""
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(field, path, "a text file", error) from None
    if not text:
        raise SettingsError(f"{_variable(field)}: {path} is empty; expected the secret on one line")
    return text


def _unusable(field: str, path: Path | None, expected: str, error: Exception) -> SettingsError:
    reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__
    return SettingsError(f"{_variable(field)}: {path} cannot be used ({reason}); expected {expected}")


def _variable(field: str) -> str:
    return f"ENDOCRINE_{field}".upper()
