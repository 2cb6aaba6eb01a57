"""What a find must be besides its shape. Each takes a find and gives the number of its characters that count; 0: none.

Checksums: Luhn (ISO/IEC 7812-1) and mod 97 (ISO 13616), with the lengths of the IBAN registry.
"""

import base64
import binascii
import re

_DIGITS = frozenset("0123456789")
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
_CARDS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"6011|64[4-9]|65|62|60|81|82|508|353|356"), (16, 17, 18, 19)),
    (re.compile(r"35(?:2[89]|[3-8])"), (16, 17, 18, 19)),
    (re.compile(r"30[0-5]|309|36|3[89]"), (14, 16, 19)),
    (re.compile(r"5018|5020|5038|5[678]|6304|6759|676[1-3]"), (13, 14, 15, 16, 17, 18, 19)),
)
"""First digits and lengths of the card schemes."""
_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}[./-]\d{1,2}[./-]\d{1,2}")
_FILE_ENDINGS = frozenset({
    "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "pdf", "css", "js", "mjs", "ts", "tsx", "jsx", "json",
    "yaml", "yml", "toml", "md", "txt", "html", "htm", "py", "rs", "go", "c", "h",
})  # fmt: skip


def drawn(text: str) -> int:
    """Return what looks drawn by lot rather than written: a digit and a letter, or capitals amid small letters; no one
    word.

    >>> drawn("s3cr3tv4lue99") > 0, drawn("authentication"), drawn("management-of-things")
    (True, 0, 0)
    """
    digits = sum(c in _DIGITS for c in text)
    letters = sum(c.isalpha() for c in text)
    if text.startswith("[redacted"):
        return len(text)
    if digits and letters:
        mixed = digits >= 2 or len(text) < 16
        return len(text) if mixed and not _slug(text) else 0
    inner = text[1:]
    return len(text) if len(text) >= 12 and inner != inner.lower() and inner != inner.upper() else 0


def placeholder(text: str) -> bool:
    """Return whether a token is one of a manual: `sk-your-key-goes-here-please`, `ghp_xxxxxxxx`,
    `AKIAIOSFODNN7EXAMPLE`.

    >>> placeholder("ghp_" + 36 * "x"), placeholder("ghp_" + 9 * "a1B2")
    (True, False)
    """
    plain = text.lower()
    return any(word in plain for word in ("example", "placeholder", "your", "xxxxx", "....."))


def drawn_word(text: str) -> int:
    """Return whether it is as of `drawn`, or any word with a mark that no prose has inside of a word."""
    return len(text) if drawn(text) or any(c in "!@#$%^&*+=~|" for c in text[:-1]) else 0


def _slug(text: str) -> bool:
    """Whether it is words with hyphens, and numbers between them: `gpt-4-turbo-2024-04-09`."""
    parts = re.split(r"[-_.]", text)
    return len(parts) > 2 and all(part.isdigit() or (part.isalpha() and part.islower()) for part in parts if part)


def user_and_password(text: str) -> int:
    """Return the end of base64 of `user:password` (RFC 7617)."""
    if text.startswith("[redacted"):
        return len(text)
    body = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        plain = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except binascii.Error:
        return 0
    return len(text) if b":" in plain and all(32 <= byte < 127 or byte >= 0xC0 for byte in plain) else 0


def userinfo(text: str) -> int:
    """Return what comes before the `@` of a web address, but for the names that say nothing."""
    return 0 if text in ("", "git", "hg", "svn", "anonymous") else len(text)


def not_ids(text: str) -> int:
    """Return the end of `user:password`, but not `1000:1000` (numbers of a user and a group), `http://...` or a path on
    Windows."""
    before, _, after = text.partition(":")
    if (before.isdigit() and after.isdigit()) or after.startswith(("//", "\\")) or (not after and "%" not in text):
        return 0
    return len(text)


def no_option(text: str) -> int:
    """Return the value of an option, and not the next option or a redirection."""
    return 0 if text.startswith(("-", "|", ">", "<")) else len(text)


def address(text: str) -> int:
    """Return an e-mail address: not a file `icon@2x.png`, not `git@host`."""
    local, _, domain = text.replace("%40", "@").replace("(at)", "@").replace("[at]", "@").rpartition("@")
    if local.lower() == "git" or domain.rpartition(".")[2].lower() in _FILE_ENDINGS:
        return 0
    return len(text) if any(c.isalnum() for c in local) else 0


def phone_international(text: str) -> int:
    """Return the end of 8 to 15 digits (E.164), in groups as people write them."""
    digits = sum(c in _DIGITS for c in text) - (2 if text.startswith("00") else 0)
    bare = text.startswith("00") and text.isdigit()
    return len(text) if 8 <= digits <= 15 and not bare else 0


def phone_national(text: str) -> int:
    """Return the end of 9 to 12 digits with a trunk 0, not a date."""
    digits = sum(c in _DIGITS for c in text)
    groups = [part for part in re.split(r"[ /.()-]+", text) if part]
    if _DATE.match(text) or len(groups) < 2 or max(map(len, groups)) < 3 > len(groups) - 1:
        return 0
    if max(map(len, groups)) == 2 and len(groups) != 5:  # bytes, times: 06 12 34 56 78 is the one form in pairs
        return 0
    return len(text) if 9 <= digits <= 12 else 0


def phone_named(text: str) -> int:
    """Return the end of at least 7 digits after a word that says telephone, not a date."""
    return len(text) if sum(c in _DIGITS for c in text) >= 7 and not _DATE.match(text) else 0


def card(text: str) -> int:
    """Return a card number: first digits and length of a scheme, and Luhn's checksum.

    >>> card("4111 1111 1111 1111"), card("4111 1111 1111 1112")
    (19, 0)
    """
    ends = [at + 1 for at, c in enumerate(text) if c in _DIGITS]
    digits = [c for c in text if c in _DIGITS]
    number = "".join(digits)
    for scheme, lengths in _CARDS:
        if scheme.match(number):
            for length in sorted(lengths, reverse=True):
                whole = length == len(number) or (length < len(number) and not text[ends[length - 1]].isdigit())
                if whole and luhn(number[:length]):
                    return ends[length - 1]
    return 0


def luhn(number: str) -> bool:
    """Return whether Luhn's checksum holds over decimal digits; never of one digit repeated."""
    odd = [int(c) for c in number[-1::-2]]
    even = [2 * int(c) for c in number[-2::-2]]
    return len(set(number)) > 1 and (sum(odd) + sum(n if n < 10 else n - 9 for n in even)) % 10 == 0


def iban(text: str) -> int:
    """Return an account number: its country's length, and the checksum mod 97.

    >>> iban("DE89 3704 0044 0532 0130 00 AND MORE"), iban("DE89 3704 0044 0532 0130 01")
    (27, 0)
    """
    wanted = _IBAN_LENGTHS.get(text[:2].upper(), 0)
    ends = [at + 1 for at, c in enumerate(text) if c.isalnum()]
    if not wanted or len(ends) < wanted or text[ends[wanted - 1] : ends[wanted - 1] + 1].isalnum():
        return 0
    number = "".join(c for c in text if c.isalnum())[:wanted].upper()
    value = int("".join(str(int(c, 36)) for c in number[4:] + number[:4]))
    return ends[wanted - 1] if value % 97 == 1 else 0
