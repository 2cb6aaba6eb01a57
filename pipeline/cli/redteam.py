"""`endocrine redteam`: attacks of a corpus on a running door, and which promise did not hold."""

import asyncio
import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from endocrine.pipeline.cli.common import BROKEN, SOUND, Json, bar, fail, print_json
from endocrine.pipeline.cli.tables import print_table

AWAY = 3
"""Exit code: no door answers."""
KEY_VARIABLE = "ENDOCRINE_API_KEY"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("redteam")(redteam)


def redteam(
    base_url: Annotated[str, typer.Option(metavar="URL", help="The door: a gateway, without a path.")],
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"File of the API key. Default: {KEY_VARIABLE}, else no key is sent."),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Attacks in place of the shipped ones (config/redteam.yaml).")
    ] = None,
    only: Annotated[str | None, typer.Option(metavar="KIND", help="Attacks of this kind alone.")] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Policy whose bounds must hold. Default: the shipped one.")
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="Model that is asked for.")] = "gpt-4.1-mini",
    must_reach: Annotated[
        bool,
        typer.Option(
            "--must-reach", help="Fail where an attack does not come as far as the rule that stops it: scripted models."
        ),
    ] = False,
    script: Annotated[
        bool, typer.Option("--script", help="Print the script of a model that obeys the attacker, and end.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run each attack of a corpus on a running door, and name the promises that did not hold.

    The key needs the scope capture; with read, incidents and audits are judged too. It must not have operate. Every
    case has an identity of its own, which begins with redteam-. Exit codes: 0 all promises held, 1 one did not, 2
    invalid arguments or the key is not taken, 3 no door answers.
    """
    from endocrine.pipeline.data.redteam.attack import DoorAway
    from endocrine.pipeline.data.redteam.corpus import CorpusError, load_corpus
    from endocrine.pipeline.data.redteam.report import COLUMNS, rows, sentences, summary
    from endocrine.pipeline.data.redteam.run import KeyRefused, RedTeam
    from endocrine.pipeline.process.logs import set_up_logs

    set_up_logs("ERROR")
    try:
        attacks = load_corpus(corpus)
        attacks = attacks if only is None else attacks.only(only)
    except CorpusError as error:
        fail(str(error))
    base_url = _checked(base_url)
    if script:
        print_json(attacks.script(base_url.partition("//")[2]))
        return
    with bar("attacks") as progress:
        team = RedTeam(
            attacks, _bounds(policy), base_url, _key(key_file), model, secrets.token_hex(4), progress=progress
        )
        try:
            results = asyncio.run(team.run())
        except KeyRefused as error:
            fail(str(error))
        except DoorAway as error:
            fail(str(error), AWAY)
    bad = {"not_held", "not_reached"} if must_reach else {"not_held"}
    sound = not any(one.outcome in bad for one in results)
    if as_json:
        print_json(summary(results, base_url, sound=sound))
    else:
        for line in sentences(results, must_reach=must_reach):
            typer.echo(line)
        print_table(COLUMNS, rows(attacks, results))
    raise typer.Exit(SOUND if sound else BROKEN)


def _checked(url: str) -> str:
    from yarl import URL

    try:
        found = URL(url)
    except ValueError:
        found = URL("")
    if found.scheme not in ("http", "https") or not found.host or found.path not in ("", "/") or found.user:
        fail("--base-url: expected http:// or https://, a host and a port, and no path")
    return str(found).rstrip("/")


def _key(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(KEY_VARIABLE) or None
    try:
        text = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"--key-file: {file}: {getattr(error, 'strerror', None) or 'not a text'}")
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        fail(f"--key-file: {file}: expected one key, as `endocrine keys create` prints it")
    return text


def _bounds(file: Path | None) -> dict[str, tuple[float, float]]:
    """Bounds of the parameters that are numbers."""
    from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy

    try:
        document = load_policy(file, {}).document
    except PolicyFileError as error:
        fail(f"--policy: {error.errors[0]}")
    found: dict[str, tuple[float, float]] = {}
    for name, bound in document.bounds.model_dump().items():
        if len(bound) == 2 and all(isinstance(one, int | float) for one in bound):
            found[name] = (float(bound[0]), float(bound[1]))
    return found
