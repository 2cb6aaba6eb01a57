"""What is wrong with the certificate of a server, in a sentence that names what to look at."""

import ssl
from pathlib import Path

_EXPIRED, _OTHER_HOST = 10, (62, 64)
"""OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, and ..._HOSTNAME_MISMATCH and ..._IP_ADDRESS_MISMATCH."""


def untrusted(server: str, error: ssl.SSLCertVerificationError, *, address: str, ca: str, ca_file: Path | None) -> str:
    """Return why the certificate of a server does not count. server: as a sentence names it. address, ca: variables
    that name the server and the authorities."""
    why = f"the certificate of {server} is not trusted ({error.verify_message})"
    if error.verify_code == _EXPIRED:
        return f"{why}: it must be renewed there, or the clock of this machine is wrong"
    if error.verify_code in _OTHER_HOST:
        return f"{why}: check {address}, which must name the host as the certificate does"
    return f"{why}: check {ca} ({ca_file or 'not given: the authorities of the system'})"


def causes(error: BaseException) -> list[BaseException]:
    """Return the error, and what it was raised from or holds."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or one in found:
            continue
        found.append(one)
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
    return found
