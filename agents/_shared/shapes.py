"""What secrets and personal numbers look like in text: one list for redaction and for moderation.

Patterns run on RE2 (google-re2): linear in the text, whoever wrote it. All are tried at once (an RE2 set), and only
those that occur are run one by one; ordinary text costs one pass. A pattern's group `secret` is what must not be shown;
`check` (endocrine.agents._shared.checks) looks at a find where its shape alone says too little.

Why our own list and no library: docs/redaction.md.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple, get_args

import re2

from endocrine.agents._shared import checks

Kind = Literal["token", "private_key", "credential", "contact", "number", "named"]
"""token: a key by its own shape; private_key; credential: a secret by what is beside it; contact: e-mail address or
telephone number; number: card or account; named: the value of a name that says secret."""


KINDS: tuple[Kind, ...] = get_args(Kind)


class Shape(NamedTuple):
    """One kind of find."""

    name: str
    kind: Kind
    pattern: str
    check: Callable[[str], int] | None = None
    """The number of characters of the find that count, from its beginning; 0: nothing was found."""


class Find(NamedTuple):
    """A find in a text."""

    start: int
    end: int
    shape: Shape


_L = r"(?:^|[^A-Za-z0-9])"
"""What comes before a token: no letter and no digit, so that `task-` holds no `sk-`."""
_Q = r"""\\*["'`]?"""
"""A quotation mark, escaped or not, or none."""
_VALUE = r"""(?:\\*"(?:[^"\\]|\\[^"])*|\\*'[^'\r\n]*|`[^`\r\n]*|[\[{][^\]}]*[\]}]?|[^\s&;#,"'`<>()]+)"""
"""What a name is given: something quoted, a list, or one word."""
_OTHER = r"\x{00c0}-\x{024f}\x{0370}-\x{052f}"
"""Latin letters with marks, Greek and Cyrillic, in names and domains."""
_SECRET_NAMES = (
    r"pass(?:word|wd|phrase|code)s?|pwd|secrets?|credentials?|api[-_ ]?keys?|private[-_ ]?keys?|access[-_ ]?keys?"
    r"|secret[-_ ]?keys?|auth[-_ ]?tokens?|access[-_ ]?tokens?|refresh[-_ ]?tokens?|id[-_ ]?tokens?|bot[-_ ]?tokens?"
    r"|session[-_ ]?tokens?|client[-_ ]?secrets?|account[-_ ]?keys?|signing[-_ ]?keys?|encryption[-_ ]?keys?"
    r"|x-[a-z0-9-]*(?:key|token|secret)|[a-z0-9]+_(?:key|token|secret)|pii"
)
"""Names that say secret in running text too, where `key: ` and `token: ` alone mean many things."""
_PASSWORD_ELSEWHERE = r"passwort|kennwort|mot de passe|contrase[ñn]a|senha|wachtwoord|пароль"
"""`password` in German, French, Spanish, Portuguese, Dutch and Russian."""

_GIVEN = r"""(?:"[^"]*"|'[^'\r\n]*'|[^&;#\s]+)"""
"""What follows the `=` of a parameter or an assignment."""

TOKENS = (
    ("openai", r"sk-(?:proj|svcacct|admin|service|None)-[A-Za-z0-9_-]{20,}"),
    ("anthropic", r"sk-ant-[a-z0-9]+-[A-Za-z0-9_-]{16,}"),
    ("openrouter", r"sk-or-[a-z0-9]+-[A-Za-z0-9_-]{20,}"),
    ("langfuse", r"[sp]k-lf-[0-9a-f-]{30,}"),
    ("sk_key", r"sk-[A-Za-z0-9]{20,}"),
    ("aws_key_id", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"),
    ("github", r"gh[pousr]_[A-Za-z0-9_]{30,}"),
    ("github_pat", r"github_pat_[A-Za-z0-9_]{30,}"),
    (
        "gitlab",
        r"(?:gl(?:pat|dt|rt|rtr|cbt|ptt|ft|agent|soat|imt|oas|ffct)-[A-Za-z0-9_.-]{18,}|GR1348941[A-Za-z0-9_-]{20,})",
    ),
    ("slack", r"xox[abceoprs](?:\.xox[bp])?-[A-Za-z0-9-]{16,}"),
    ("slack_app", r"xapp-[0-9]-[A-Za-z0-9-]{16,}"),
    ("slack_hook", r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_+-]{20,}"),
    ("discord_hook", r"discord(?:app)?\.com/api/webhooks/[0-9]{15,}/[A-Za-z0-9_-]{40,}"),
    ("discord_bot", r"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}"),
    ("telegram", r"[0-9]{8,10}:AA[A-Za-z0-9_-]{33}"),
    ("teams_hook", r"webhook\.office\.com/webhookb2/[A-Za-z0-9@/-]{60,}"),
    ("google", r"(?:AIza[A-Za-z0-9_-]{30,}|AQ\.Ab[A-Za-z0-9_-]{40,})"),
    ("google_oauth", r"(?:ya29\.|GOCSPX-|1//0)[A-Za-z0-9_-]{20,}"),
    ("stripe", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    ("stripe_hook", r"whsec_[A-Za-z0-9+/=]{20,}"),
    ("jwt", r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),
    ("jwe", r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){3}\.[A-Za-z0-9_-]{8,}"),
    ("npm", r"npm_[A-Za-z0-9]{30,}"),
    ("pypi", r"pypi-AgE[A-Za-z0-9_-]{16,}"),
    ("rubygems", r"rubygems_[0-9a-f]{40,}"),
    ("crates", r"cio[A-Za-z0-9]{32}"),
    ("huggingface", r"(?:hf_|api_org_)[A-Za-z0-9]{30,}"),
    ("groq", r"gsk_[A-Za-z0-9]{40,}"),
    ("xai", r"xai-[A-Za-z0-9]{40,}"),
    ("perplexity", r"pplx-[A-Za-z0-9]{32,}"),
    ("replicate", r"r8_[A-Za-z0-9]{30,}"),
    ("sendgrid", r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("mailgun", r"key-[0-9a-f]{32}"),
    ("mailchimp", r"[0-9a-f]{32}-us[0-9]{1,2}"),
    ("twilio", r"SK[0-9a-f]{32}"),
    ("digitalocean", r"do[opr]_v1_[0-9a-f]{60,}"),
    ("shopify", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    ("square", r"sq0[a-z]{3}-[A-Za-z0-9_-]{22,}"),
    ("linear", r"lin_api_[A-Za-z0-9]{32,}"),
    ("notion", r"(?:secret_|ntn_)[A-Za-z0-9]{40,}"),
    ("databricks", r"dapi[0-9a-f]{32}"),
    ("terraform", r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,}"),
    ("vault", r"hv[sbr]\.[A-Za-z0-9_-]{24,}"),
    ("doppler", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9]{40,}"),
    ("postman", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
    ("newrelic", r"NR(?:AK|II|AA)-[A-Za-z0-9]{24,}"),
    ("grafana", r"gl(?:sa|c)_[A-Za-z0-9+/=_]{32,}"),
    ("sentry", r"sntry[su]_[A-Za-z0-9+/=_]{40,}"),
    ("docker", r"dckr_[a-z]{3}_[A-Za-z0-9_-]{20,}"),
    ("atlassian", r"AT(?:ATT3|CTT3|BB)[A-Za-z0-9_=-]{24,}"),
    ("azure_ad", r"[A-Za-z0-9_~.]{3}8Q~[A-Za-z0-9_~.-]{31,34}"),
    ("airtable", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    ("supabase", r"(?:sbp_[0-9a-f]{40}|sb_secret_[A-Za-z0-9_-]{24,})"),
    ("planetscale", r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{32,}"),
    ("fly", r"(?:fo1_[A-Za-z0-9_-]{40,}|fm[12][ar]?_[A-Za-z0-9+/=]{40,})"),
    ("age", r"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    ("facebook", r"EAA[A-Za-z0-9]{60,}"),
    ("nvidia", r"nvapi-[A-Za-z0-9_-]{40,}"),
    ("together", r"tgp_v1_[A-Za-z0-9_-]{40,}"),
    ("fireworks", r"fw_[A-Za-z0-9]{22,}"),
    ("cerebras", r"csk-[a-z0-9]{40,}"),
    ("elevenlabs", r"sk_[0-9a-f]{48}"),
    ("tavily", r"tvly-[A-Za-z0-9-]{28,}"),
    ("firecrawl", r"fc-[0-9a-f]{32}"),
    ("langsmith", r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    ("pinecone", r"pcsk_[A-Za-z0-9_]{50,}"),
    ("jina", r"jina_[A-Za-z0-9_-]{50,}"),
    ("e2b", r"e2b_[0-9a-f]{40}"),
    ("vercel", r"(?:vc[pikar]_|vercel_blob_rw_)[A-Za-z0-9_]{24,}"),
    ("netlify", r"nf[pcoub]_[A-Za-z0-9]{36}"),
    ("neon", r"napi_[a-z0-9]{60,}"),
    ("figma", r"fig(?:d|o|u|or|ur)_[A-Za-z0-9_-]{40,}"),
    ("heroku", r"HRKU-[A-Za-z0-9_-]{36,}"),
    ("dropbox", r"sl\.(?:u\.)?[A-Za-z0-9_-]{100,}"),
    ("asana", r"[0-9]/[0-9]{16}(?:/[0-9]{16})?:[0-9a-f]{32}"),
    ("tailscale", r"tskey-[a-z]{3,8}-[A-Za-z0-9]{10,}-[A-Za-z0-9]{16,}"),
    ("resend", r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}"),
    ("posthog", r"ph[xs]_[A-Za-z0-9]{40,}"),
    ("buildkite", r"bkua_[0-9a-f]{40}"),
    ("circleci", r"CCI(?:PAT|PRJ)_[A-Za-z0-9]{20,}_[0-9a-f]{40}"),
    ("pulumi", r"pul-[0-9a-f]{40}"),
    ("contentful", r"CFPAT-[A-Za-z0-9_-]{43}"),
    ("onepassword", r"ops_eyJ[A-Za-z0-9_-]{100,}"),
)
"""Keys and tokens by their own shape, with their issuers' prefixes."""
_UNSURE = frozenset(
    {
        "crates",
        "twilio",
        "discord_bot",
        "facebook",
        "jwe",
        "google_oauth",
        "fireworks",
        "tavily",
        "vercel",
        "resend",
        "dropbox",
    }
)
"""Of these the prefix is short: what follows must look drawn by lot."""

SHAPES: tuple[Shape, ...] = (
    *(
        Shape(name, "token", f"{_L}(?P<secret>{pattern})", checks.drawn if name in _UNSURE else None)
        for name, pattern in TOKENS
    ),
    Shape(
        "private_key",
        "private_key",
        r"(?s)(?P<secret>-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-{4,5}"
        r".*?(?:-{4,5} ?END [A-Z0-9 ]{0,50}-{4,5}|\z)|PuTTY-User-Key-File-[0-9].*\z)",
    ),
    Shape(
        "pem",
        "credential",
        r"(?s)(?P<secret>-----BEGIN [A-Z0-9 ]{1,50}-----.*?(?:-----END [A-Z0-9 ]{1,50}-----|\z))",
    ),
    Shape(
        "authorization",
        "credential",
        rf"""(?i)authorization{_Q}\s{{0,8}}[:=]\s{{0,8}}(?:[fbr]{{1,2}}["'])?{_Q}(?P<secret>(?:digest|hawk|oauth|aws4-hmac-sha256)\s[^\r\n]+"""
        r"""|(?:[a-z][a-z0-9-]{1,30}[ \t]+)?[^\s"'`,;\\]+)""",
    ),
    Shape("bearer", "credential", r"""(?i)\bbearer[\s:=]{1,4}["']?(?P<secret>[a-z0-9._~+/=-]{8,})""", checks.drawn),
    Shape("basic", "credential", r"(?i)\bbasic[\s:=]{1,4}(?P<secret>[a-z0-9+/_-]{6,}={0,2})", checks.user_and_password),
    Shape("cookie", "credential", r"""(?i)\bcookie\s{0,4}:\s{0,4}(?P<secret>[^\s"'`=;]{1,64}=[^"'`\r\n]+)"""),
    Shape("userinfo", "credential", r"""(?i)\b[a-z][a-z0-9+.-]{1,30}://(?P<secret>[^\s/?#"'`<>]*)@""", checks.userinfo),
    Shape(
        "user_option",
        "credential",
        r"""(?:^|[\s"'`=\[,])(?:-u|--user|--proxy-user|-U|--userpwd)(?:[ \t=]{1,4}|["']\s?,\s?)?["']?"""
        r"""(?P<secret>[^\s:"'`-][^\s:"'`]*[:%][^\s"'`]+)""",
        checks.not_ids,
    ),
    Shape(
        "user_option_quoted",
        "credential",
        r"""(?:-u|--user|--proxy-user)[ =]?(?P<secret>"[^":]+:[^"]+"|'[^':]+:[^']+')""",
    ),
    Shape(
        "password_option",
        "credential",
        r"""(?i)(?:^|\s)-{1,2}[a-z0-9-]{0,40}(?:password|passwd|passphrase|pass|pwd|token|secret|key|credential)s?"""
        rf"""(?:\s{{1,4}}|=)(?P<secret>{_VALUE})""",
        checks.no_option,
    ),
    Shape(
        "program_password",
        "credential",
        r"""\b(?:(?:mysql|mysqldump|mysqladmin|mariadb|sshpass)\b[^\n|;]{0,200}?\s-p"""
        r"""|(?:(?:docker|podman|buildah|skopeo|helm(?: registry)?|az|oc) login|sshpass)\b[^\n|;]{0,200}?\s-p[ =])"""
        r"""(?P<secret>[^\s"'`-][^\s"'`]*|"[^"\n]+"|'[^'\n]+')""",
    ),
    Shape(
        "named",
        "named",
        rf"""(?i)(?:^|[^a-z0-9_])[a-z0-9_-]{{0,40}}(?:{_SECRET_NAMES})[a-z0-9_-]{{0,40}}{_Q}\s{{0,8}}(?::=|=>|[:=])\s{{0,8}}"""
        rf"""(?P<secret>{_VALUE})""",
    ),
    Shape(
        "signed_address",
        "credential",
        r"""(?i)[?&;](?:sig|signature|x-(?:amz|goog|oss)-(?:signature|credential|security-token))=(?P<secret>[^&#\s"'<>]{6,})""",
    ),
    Shape(
        "named_without_mark",
        "named",
        r"""(?i)\b(?:password|passwd|pass)\s{1,4}(?P<secret>[^\s"'`,;<>()]{6,64})""",
        checks.drawn,
    ),
    Shape(
        "said",
        "named",
        r"""(?i)\b(?:pass(?:word|wd|phrase|code)|pwd|pin|api[ -]key|token|secret|access key)\b"""
        r"""[^.:=\n]{0,24}?\s(?:is|was|to|=|:)\s{0,4}["'`]?(?P<secret>[^\s"'`,;<>]{4,})""",
        checks.drawn_word,
    ),
    Shape(
        "said_token",
        "named",
        rf"""(?i)(?:^|[^a-z0-9_])(?:key|token|auth|(?:[a-z0-9_]{{1,40}}_)?pass|{_PASSWORD_ELSEWHERE}){_Q}\s{{0,8}}[:=]\s{{0,8}}{_Q}(?P<secret>[^\s"'`,;<>&]{{6,}})""",
        checks.drawn,
    ),
    Shape(
        "element",
        "named",
        rf"""(?i)<[a-z0-9:._-]{{0,40}}(?:{_SECRET_NAMES}|token|e-?mail|phone)[a-z0-9:._-]{{0,40}}>(?P<secret>[^<>]+)<""",
    ),
    Shape(
        "email",
        "contact",
        rf"(?:^|[^A-Za-z0-9._%+{_OTHER}-])(?P<secret>[A-Za-z0-9_+.%'{_OTHER}-]+(?:@|%40|\(at\)|\[at\])"
        rf"(?:[A-Za-z0-9{_OTHER}][A-Za-z0-9{_OTHER}-]*\.)+[A-Za-z{_OTHER}][A-Za-z0-9{_OTHER}-]+)",
        checks.address,
    ),
    Shape(
        "phone_international",
        "contact",
        r"(?:^|[^0-9A-Za-z_+])(?P<secret>(?:\+|00[ ]?)[1-9][0-9]{0,3}(?:[ ./-]{0,2}\(?[0-9]{1,10}\)?){1,7})",
        checks.phone_international,
    ),
    Shape(
        "phone_american",
        "contact",
        r"(?:^|[^0-9A-Za-z_.+-])(?P<secret>(?:\+?1[ .-])?(?:\([2-9][0-9]{2}\) ?[0-9]{3}[ .-][0-9]{4}"
        r"|[2-9][0-9]{2}-[0-9]{3}-[0-9]{4}|[2-9][0-9]{2}\.[0-9]{3}\.[0-9]{4}))"
        r"(?:$|[^0-9A-Za-z_-])",
    ),
    Shape(
        "phone_national",
        "contact",
        r"(?:^|[^0-9A-Za-z_.:+\s-]|(?:^|[^0-9])\s)"
        r"(?P<secret>\(?0[1-9][0-9]{0,4}\)?(?:[ /-]{1,2}[0-9]{2,8}){1,5}|0[1-9](?:\.[0-9]{2}){4})"
        r"(?:$|[^0-9A-Za-z\s]|\s+(?:$|[^0-9]))",
        checks.phone_national,
    ),
    Shape(
        "phone_named",
        "contact",
        r"(?i)\b(?:(?:tele)?(?:phone|fon|fone)|tel|mobile?|cell|fax|whatsapp|handy|sms|call(?: me)?)"
        rf"""(?:[ -]?(?:no|nr|number|num|nummer))?\.?{_Q}[\s:=#]{{0,4}}(?:(?:is|at|on)\s)?{_Q}"""
        r"""(?P<secret>[+(]?[0-9][0-9 ()./-]{5,24}[0-9])""",
        checks.phone_named,
    ),
    Shape("card", "number", r"(?:^|[^0-9A-Za-z.+-])(?P<secret>[2-6](?:[ .-]{0,2}[0-9]){11,18})", checks.card),
    Shape(
        "iban", "number", r"(?i)(?:^|[^0-9A-Za-z_])(?P<secret>[a-z]{2}[0-9]{2}(?:[ -]?[0-9a-z]){11,38})", checks.iban
    ),
)
"""Every shape, in the order in which explanations name them."""
_SET_BYTES = 256 << 20
"""Memory that the set may use for its states, at most; ordinary text needs some hundred kB."""
_NAME_CHARS = 64
_TRIED_AGAIN = 200
"""Bytes of a find that may begin anew one byte later: so the cost stays linear."""


class Finder:
    """Some shapes, compiled to be looked for at once."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        options = re2.Options()
        options.max_mem = _SET_BYTES
        self._all = re2.Set.SearchSet(options)
        for shape in shapes:
            self._all.Add(shape.pattern)
        self._all.Compile()
        self._each = [(shape, re2.compile(shape.pattern)) for shape in shapes]

    def finds(self, text: str) -> list[Find]:
        """Return all finds, by where they begin; they may overlap. Positions count characters of the text.

        >>> [(find.shape.name, find.start, find.end) for find in finder().finds("mail ann@example.org")]
        [('email', 5, 20)]
        """
        data = text.encode("utf-8", "surrogatepass")
        occurring = self._all.Match(data)
        if not occurring:
            return []
        found = [find for number in sorted(occurring) for find in _of(*self._each[number], data=data)]
        if not text.isascii():
            at = _characters(data, {place for find in found for place in find[:2]})
            found = [Find(at[find.start], at[find.end], find.shape) for find in found]
        return sorted(found, key=lambda find: (find.start, find.end))


@cache
def finder(kinds: tuple[Kind, ...] = KINDS) -> Finder:
    """Return the finder of all shapes of some kinds."""
    return Finder([shape for shape in SHAPES if shape.kind in kinds])


@lru_cache(maxsize=64)
def named_finder(words: tuple[str, ...], *, shapes: bool) -> Finder:
    """Return the finder of parameters and assignments `name=value` whose name contains one of the words, the letters of
    which may be parted by `-`, `_` or `.`; and of all shapes."""
    named = "|".join("[-_.]?".join(re2.escape(c) for c in word) for word in words) or "[^\\x00-\\x{10ffff}]"
    name = rf"[^=&?;\s]{{0,{_NAME_CHARS}}}(?:{named})[^=&?;\s]{{0,{_NAME_CHARS}}}"
    parameter = Shape("parameter", "named", rf"(?i)(?:[?&;\s]|^){name}=(?P<secret>{_GIVEN})")
    return Finder([parameter, *SHAPES] if shapes else [parameter])


def _of(shape: Shape, pattern: Any, *, data: bytes) -> Iterator[Find]:
    """The finds of one shape. One that the check refuses is passed over, but for numbers: another may begin inside."""
    at = 0
    while (match := pattern.search(data, at)) is not None:
        start, end = match.span(match.re.groupindex["secret"])
        whole = end
        if shape.check is not None:
            seen = data[start:end].decode("utf-8", "surrogateescape")
            end = start + len(seen[: shape.check(seen)].encode("utf-8", "surrogateescape"))
        if end > start:
            yield Find(start, end, shape)
            whole = end
        elif shape.kind in ("number", "contact") and whole - start <= _TRIED_AGAIN:
            whole = start + 1
        at = max(whole, at + 1)


def _characters(data: bytes, places: set[int]) -> dict[int, int]:
    """Places in the bytes of a text as places in its characters."""
    at: dict[int, int] = {}
    before = count = 0
    for place in sorted(places):
        count += len(data[before:place].decode("utf-8", "surrogatepass"))
        at[place], before = count, place
    return at
