"""The formats of JSON Schema that are asserted (`format`); a policy that names another one is refused.

The packages that jsonschema's extra would bring run on backtracking expressions in which `$` lets a final newline pass
and `\\d` takes any script's digits. So the grammars are written out here for RE2, each beside its source; addresses are
read by the standard library.
"""

import ipaddress
from collections.abc import Callable, Mapping
from datetime import date

from endocrine.agents._shared import linear

_DAY_MINUTES = 24 * 60
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_QUOTED = r'"([ !#-\[\]-~]|\\[ -~])*"'
_PCT = r"%[0-9A-Fa-f]{2}"
_PLAIN = r"A-Za-z0-9._~!$&'()*+,;=\-"
"""RFC 3986: unreserved and sub-delims, inside brackets."""
_PATH = rf"([{_PLAIN}:@/]|{_PCT})*"
_ENDING = rf"([{_PLAIN}:@/?]|{_PCT})*"
_AUTHORITY = rf"(([{_PLAIN}:]|{_PCT})*@)?(\[[0-9A-Fa-f:.]+\]|\[v[0-9A-Fa-f]+[.][{_PLAIN}:]+\]|([{_PLAIN}]|{_PCT})*)"
_URI = (
    rf"[A-Za-z][A-Za-z0-9+.-]*:(//{_AUTHORITY}(:[0-9]*)?(/{_PATH})?|/?|/?([{_PLAIN}:@]|{_PCT}){_PATH})"
    rf"([?]{_ENDING})?(#{_ENDING})?"
)


def _is_date(text: str) -> bool:
    """RFC 3339, full-date."""
    if not linear.fits(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_time(text: str) -> bool:
    """RFC 3339, full-time; a leap second is the last of a day in UTC."""
    if not linear.fits(_TIME, text):
        return False
    if text[6:8] != "60":
        return True
    minutes = int(text[0:2]) * 60 + int(text[3:5])
    if text[-1] not in "Zz":
        offset = int(text[-5:-3]) * 60 + int(text[-2:])
        minutes -= offset if text[-6] == "+" else -offset
    return minutes % _DAY_MINUTES == _DAY_MINUTES - 1


def _is_date_time(text: str) -> bool:
    """RFC 3339, date-time."""
    return text[10:11] in ("T", "t") and _is_date(text[:10]) and _is_time(text[11:])


def _is_ipv4(text: str) -> bool:
    """RFC 2673: four decimal numbers without leading zeros."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    """RFC 4291, without a zone."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text


def _is_hostname(text: str) -> bool:
    """RFC 1123: labels of 1 to 63 letters, digits and inner hyphens, 253 characters together."""
    return len(text) <= 253 and linear.fits(rf"{_LABEL}([.]{_LABEL})*", text)


def _is_email(text: str) -> bool:
    """RFC 5321, Mailbox: ASCII only, no comments."""
    local, at, domain = text.rpartition("@")
    if not at or not linear.fits(rf"{_ATOM}([.]{_ATOM})*|{_QUOTED}", local):
        return False
    if domain[:1] == "[" and domain[-1:] == "]":
        inner = domain[1:-1]
        return _is_ipv6(inner[5:]) if inner[:5].casefold() == "ipv6:" else _is_ipv4(inner)
    return _is_hostname(domain)


def _is_uri(text: str) -> bool:
    """RFC 3986, URI: with a scheme, ASCII, percent-encoded; an address in brackets is one of IPv6."""
    if not linear.fits(_URI, text):
        return False
    start, end = text.find("["), text.find("]")
    return start < 0 or text[start + 1] == "v" or _is_ipv6(text[start + 1 : end])


def _grammar(pattern: str) -> Callable[[str], bool]:
    return lambda text: linear.fits(pattern, text)


def _is_regex(text: str) -> bool:
    """What `pattern` takes: an expression that RE2 runs."""
    return linear.fault(text) is None


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date": _is_date,
    "date-time": _is_date_time,
    "time": _is_time,
    # RFC 3339, appendix A
    "duration": _grammar(
        r"P(([0-9]+D|[0-9]+M([0-9]+D)?|[0-9]+Y([0-9]+M([0-9]+D)?)?)(T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?"
        r"|[0-9]+S))?|T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S)|[0-9]+W)"
    ),
    "email": _is_email,
    "hostname": _is_hostname,
    "ipv4": _is_ipv4,
    "ipv6": _is_ipv6,
    "json-pointer": _grammar(r"(/([^~/]|~[01])*)*"),  # RFC 6901
    "regex": _is_regex,
    "uri": _is_uri,
    "uuid": _grammar(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),  # RFC 4122
}
"""Name of a format to what a text of it must be."""
