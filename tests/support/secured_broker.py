"""A Kafka with TLS, SASL, client certificates and an authorizer, and a Valkey or Redis with TLS and ACL users; on
loopback, with certificates and passwords made for the run."""

import datetime
import ipaddress
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from endocrine.pipeline.local.kafka import KafkaNode
from endocrine.pipeline.local.stack import HEAP, PATIENT
from endocrine.pipeline.process.settings import Settings
from endocrine.pipeline.process.subprocesses import free_port

ADMIN = "admin"
_NOW = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
_DAYS = datetime.timedelta(days=3650)
_AUTHORIZER_LOG = "authorizer.log4j2.xml"
_AUTHORIZED = re.compile(
    r"Principal = User:(?P<principal>\S+) is (?P<answer>Allowed|Denied) operation = (?P<operation>\w+) from host = \S+"
    r" on resource = (?P<resource>\w+):LITERAL:(?P<name>\S+) for request"
)


class Pair(NamedTuple):
    """Files of a certificate and of its key, in PEM."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority of this run, in a folder."""

    def __init__(self, folder: Path, name: str = "endocrine test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._certificate = self._signed(self._name, self._key.public_key(), ca=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        common_name: str,
        *,
        password: str | None = None,
        host: str | None = None,
        days: datetime.timedelta = _DAYS,
    ) -> Pair:
        """Sign a certificate for loopback and for a client of this name. host: instead of loopback. days: from the
        beginning of 2024 on."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(_name(common_name), key.public_key(), ca=False, host=host, days=days)
        pair = Pair(self._folder / f"{common_name}.pem", self._folder / f"{common_name}.key")
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        lock = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))
        return pair

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        ca: bool,
        host: str | None = None,
        days: datetime.timedelta = _DAYS,
    ) -> x509.Certificate:
        names: list[x509.GeneralName] = [x509.DNSName(host or "localhost")]
        if host is None:
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_NOW)
            .not_valid_after(_NOW + days)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )


class Authorized(NamedTuple):
    """An answer of the authorizer, from its own log."""

    principal: str
    allowed: bool
    operation: str
    """As the ACLs of the project name it: READ, DESCRIBE_CONFIGS, ..."""
    resource: str
    name: str


class _LoggingNode(KafkaNode):
    """A node whose authorizer logs each answer."""

    def _command(self) -> list[str]:
        command = super()._command()
        own = self.data_dir / _AUTHORIZER_LOG
        own.parent.mkdir(parents=True, exist_ok=True)
        logger = '<Logger name="kafka.authorizer.logger" level="DEBUG"/>'
        (setting,) = [word for word in command if word.startswith("-Dlog4j2.configurationFile=")]
        shipped = Path(setting.partition("=")[2]).read_text()
        own.write_text(shipped.replace("</Loggers>", f"{logger}</Loggers>"))
        return [f"-Dlog4j2.configurationFile={own}" if word == setting else word for word in command]


class SecuredBroker:
    """`async with SecuredBroker(folder, users) as broker`; listeners SASL_SSL and SSL, and none without TLS for
    clients: the node's own PLAINTEXT one is a super user's, for what the tests prepare."""

    def __init__(self, folder: Path, users: list[str]) -> None:
        self.authority = Authority(folder / "tls")
        self.users = {user: secrets.token_urlsafe(12) for user in (ADMIN, *users)}
        self._server = self.authority.issue("broker")
        self._folder = folder
        self.sasl, self.tls = free_port(), free_port()
        for user, password in self.users.items():
            (folder / f"{user}.password").write_text(password + "\n")
        scram = []
        for user, password in self.users.items():
            scram += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
            scram += ["--add-scram", f"SCRAM-SHA-256=[name={user},password={password}]"]
        self.node = _LoggingNode(folder / "kafka", heap=HEAP, properties=self._properties(), format_arguments=scram)

    def _properties(self) -> dict[str, str]:
        plain = " ".join(f'user_{user}="{password}"' for user, password in self.users.items())
        module = "org.apache.kafka.common.security"
        scram = f"{module}.scram.ScramLoginModule required;"
        sasl = "listener.name.sasl_ssl"
        keys = self._folder / "tls" / "broker.all.pem"
        keys.write_bytes(self._server.key.read_bytes() + self._server.certificate.read_bytes())
        plaintext, controller = free_port(), free_port()
        self._ports = plaintext, controller
        return PATIENT | {
            "listeners": f"PLAINTEXT://127.0.0.1:{plaintext},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{self.sasl},"
            f"SSL://127.0.0.1:{self.tls}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plaintext},SASL_SSL://127.0.0.1:{self.sasl},"
            f"SSL://127.0.0.1:{self.tls}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN,OAUTHBEARER",
            f"{sasl}.scram-sha-512.sasl.jaas.config": scram,
            f"{sasl}.scram-sha-256.sasl.jaas.config": scram,
            f"{sasl}.plain.sasl.jaas.config": f"{module}.plain.PlainLoginModule required {plain};",
            f"{sasl}.oauthbearer.sasl.jaas.config": f"{module}.oauthbearer.OAuthBearerLoginModule required"
            ' unsecuredLoginStringClaim_sub="broker";',
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keys),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "listener.name.ssl.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # The node itself, on its own listeners; the tests' clients have others.
            "super.users": f"User:{ADMIN};User:ANONYMOUS",
        }

    async def __aenter__(self) -> "SecuredBroker":
        self.node._port, self.node._ports = self._ports[0], self._ports
        await self.node.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.node.stop()

    def log_end(self) -> int:
        """Return how much the node has logged until now, in bytes."""
        return self.node.log.stat().st_size

    def authorized(self, since: int) -> set[Authorized]:
        """Return what the authorizer was asked since then (`log_end`), and its answers."""
        logged = self.node.log.read_bytes()[since:].decode(errors="replace")
        return {
            Authorized(
                found["principal"],
                found["answer"] == "Allowed",
                found["operation"],
                found["resource"].upper(),
                found["name"],
            )
            for found in _AUTHORIZED.finditer(logged)
        }

    def settings(self, user: str, **given: object) -> Settings:
        """Return settings of a principal on the SASL_SSL listener."""
        return Settings(
            **{
                "bootstrap": f"127.0.0.1:{self.sasl}",
                "kafka_security": "SASL_SSL",
                "kafka_user": user,
                "kafka_password_file": self._folder / f"{user}.password",
                "kafka_ca_file": self.authority.file,
                "partitions": 1,
                **given,
            }
        )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
