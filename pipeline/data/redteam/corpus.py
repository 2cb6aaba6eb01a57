"""The corpus: cases of an attack, each with the promise that it tries. As shipped: config/redteam.yaml."""

import re
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

Mode = Literal["chat", "chat-stream", "responses", "responses-stream"]
Sign = Literal["denied", "withheld", "refused", "passed", "strict"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Sentence = Annotated[str, StringConstraints(min_length=8, max_length=300)]
Json = dict[str, Any]
_PLACE = re.compile(r"<<([a-z_]+)(?:\*(\d{1,8}))?>>")
MARK = "[case {}]"
"""Ends each prompt, so that a scripted model knows which case it answers."""


class CorpusError(ValueError):
    """A corpus that cannot be used. The message names the file and what is wrong in it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Canary(_Part):
    """A made-up secret: a prefix by which it is known, and letters and digits after it."""

    prefix: str
    chars: Annotated[int, Field(ge=0, le=4096)]

    @property
    def text(self) -> str:
        """The same text each time; of this corpus alone."""
        alphabet = "R3dT3amC4naryQ7wXz9KpLm2Vb8"
        return self.prefix + "".join(alphabet[(7 * n + n // 5) % len(alphabet)] for n in range(self.chars))


class Held(_Part):
    """What must hold of a case, beside what holds of all: no call leaves but those named, parameters are within the
    policy's bounds, nothing fails with status 500."""

    calls: dict[str, Json | None] = {}
    """Functions of the application that a call may leave for, and the arguments it must have; null: any."""
    own: tuple[str, ...] = ("retrieve_knowledge", "open_url")
    """Functions of the gateway that the audit may show as allowed."""
    hidden: tuple[str, ...] = ()
    """Texts that are in no byte that is received."""
    status: tuple[Annotated[int, Field(ge=200, le=599)], ...] = ()
    """Statuses of which the last answer has one; empty: any but 500."""
    denied: bool = False
    """No call of `native.calls` is allowed."""
    strict: bool = False
    """The turn's mode is strict in the end."""


class Request(_Part):
    """A request as it is, of a native or raw case. `<<audit>>`, `<<identity>>` and canaries are filled in."""

    method: Literal["GET", "POST"] = "POST"
    path: Annotated[str, StringConstraints(pattern=r"^/")]
    body: Any = None
    """Sent as JSON; a text is sent as it is."""
    headers: dict[str, str] = {}


class Native(_Part):
    """A turn that the application answers itself: opened, then requests, then calls that are asked about."""

    turn: Json
    """Members of the opening beside its identity."""
    before: tuple[Request, ...] = ()
    calls: tuple[Json, ...] = ()
    """Tool calls: `{"tool", "arguments"}`, or more of the record."""
    again: bool = False
    """Whether the calls are asked about once more at the end, under the same ids."""
    after: tuple[Request, ...] = ()
    """Requests between the calls and those."""


class Case(_Part):
    """One attack: a `prompt` for the OpenAI APIs, a `native` turn, or one `raw` request."""

    name: Name
    kind: Name
    attack: Sentence
    """What the attacker does."""
    promise: Sentence
    """What must not happen, as a sentence."""
    held: Held = Held()
    modes: Annotated[tuple[Mode, ...], Field(min_length=1)] = ("chat", "chat-stream")
    prompt: str | None = None
    messages: tuple[Json, ...] = ()
    """Before the prompt, in the form of chat completions."""
    functions: tuple[str, ...] = ("order_status", "transfer_money", "run_shell")
    """Declared by the request, from the corpus's `functions`."""
    asks: Json = {}
    """Further members of the request."""
    headers: dict[str, str] = {}
    answers: tuple[str, ...] = ()
    """What the application sends as results of the calls that reach it, reply by reply; then nothing more."""
    model: tuple[Json, ...] = ()
    """Steps of a scripted model that obeys the attacker (pipeline/local/fake_llm/script.py); empty: it answers."""
    native: Native | None = None
    raw: Request | None = None
    sign: Sign | None = None
    """What shows that the attack came as far as the rule that stops it, when the model obeys."""

    @model_validator(mode="after")
    def _one_form(self) -> "Case":
        if sum(one is not None for one in (self.prompt, self.native, self.raw)) != 1:
            raise ValueError(f"case {self.name!r}: expected one of prompt, native, raw")
        return self


class Corpus(_Part):
    """Cases, and what they share."""

    kinds: dict[Name, Sentence]
    """Kind of attack, and what it is about."""
    canaries: dict[Annotated[str, StringConstraints(pattern=r"^[a-z_]+$")], Canary]
    functions: dict[str, Json]
    """Functions of the application: name to description and parameters."""
    notes: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+\.md$")], str] = {}
    """Files that retrieval searches in `make redteam`."""
    cases: Annotated[tuple[Case, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> "Corpus":
        twice = [name for name, count in Counter(case.name for case in self.cases).items() if count > 1]
        if twice:
            raise ValueError(f"cases with one name: {', '.join(twice)}")
        for case in self.cases:
            if case.kind not in self.kinds:
                raise ValueError(f"case {case.name!r}: kind {case.kind!r} is not one of `kinds`")
            if unknown := [name for name in case.functions if name not in self.functions]:
                raise ValueError(f"case {case.name!r}: no function {unknown[0]!r} in `functions`")
        return self

    def only(self, kind: str) -> "Corpus":
        """Return the corpus with one kind alone. Raises CorpusError where no case is of it."""
        cases = tuple(case for case in self.cases if case.kind == kind)
        if not cases:
            raise CorpusError(f"no case is of the kind {kind!r}; kinds: {', '.join(self.kinds)}")
        return self.model_copy(update={"cases": cases})

    def script(self, door: str) -> Json:
        """Return the script of a model that obeys the attacker, case by case, and answers everything else.

        door: host and port of the door, for attacks on itself.
        """
        texts = {"door": door, "door_port": door.rpartition(":")[2]}
        rules = [
            {"name": case.name, "when": re.escape(MARK.format(case.name)), "steps": filled(case.model, texts)}
            for case in self.cases
            if case.model
        ]
        return {"label": "redteam", "rules": [*rules, {"name": "any", "steps": [{"text": "An answer."}]}]}


def load_corpus(path: Path | None = None) -> Corpus:
    """Return the corpus of a file (YAML or JSON), or the shipped one. Raises CorpusError."""
    name = str(path) if path else "config/redteam.yaml"
    try:
        if path is None:
            text = resources.files("endocrine.config").joinpath("redteam.yaml").read_text("utf-8")
        else:
            text = path.read_text("utf-8")
        return parse_corpus(yaml.safe_load(text))
    except OSError as error:
        raise CorpusError(f"{name}: {error.strerror or type(error).__name__}") from None
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in found["loc"])
        raise CorpusError(f"{name}: {place + ': ' if place else ''}{found['msg']}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CorpusError(f"{name}: the corpus is not YAML: {error}") from None


def parse_corpus(document: Any) -> Corpus:
    """Return a corpus from its document, with canaries filled in. Raises pydantic's ValidationError, CorpusError."""
    canaries = TypeAdapter(dict[str, Canary]).validate_python(
        document.get("canaries", {}) if isinstance(document, dict) else {}
    )
    texts = {name: canary.text for name, canary in canaries.items()}
    return Corpus.model_validate(filled(document, texts))


def filled(value: Any, texts: dict[str, str]) -> Any:
    """Return a value with `<<name>>` replaced in every text of it, and `<<x*1000>>` by a thousand letters x.

    Names that are not among the texts stay as they are: others may know them.

    >>> filled({"a": ["<<key>> <<ab*2>> <<other>>"]}, {"key": "k"})
    {'a': ['k abab <<other>>']}
    """
    if isinstance(value, str):
        return _PLACE.sub(lambda found: _replaced(found, texts), value)
    if isinstance(value, dict):
        return {filled(name, texts): filled(one, texts) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [filled(one, texts) for one in value]
    return value


def _replaced(found: re.Match[str], texts: dict[str, str]) -> str:
    name, times = found[1], found[2]
    if times is not None:
        return texts.get(name, name) * int(times)
    return texts.get(name, found[0])
