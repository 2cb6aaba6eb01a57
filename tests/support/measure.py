"""Precision and recall of moderation and redaction over the corpora in tests/data, as tables in docs (make measure)."""

import json
from collections import Counter
from pathlib import Path

from endocrine.agents._shared.redaction import redact_text
from endocrine.agents._shared.shapes import SHAPES, finder
from endocrine.agents.moderation.local import judge
from endocrine.pipeline.process.policy_files import shipped_policy

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests/data"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
JOINT = "<+>"
"""Part of the made-up keys of the corpora, so that no scanner of repositories takes them for real ones."""


def corpus(name):
    """The entries of a corpus, keys joined."""
    return [json.loads(line.replace(JOINT, "")) for line in (DATA / name).read_text().splitlines()]


def share(part, whole):
    return f"{part / whole:.2f}" if whole else "-"


def moderation():
    """One row per rule: the share of its harmful texts that it finds, and of its findings that are harmful."""
    rules = shipped_policy().document.moderation
    harmful, harmless = corpus("moderation/harmful.jsonl"), corpus("moderation/harmless.jsonl")
    wanted, hit, right, wrong = Counter(), Counter(), Counter(), Counter()
    for entry in harmful:
        fired = judge(entry["text"], entry["place"], "standard", rules).rules
        wanted[entry["rule"]] += 1
        hit[entry["rule"]] += entry["rule"] in fired
        right.update(fired)
    withheld = 0
    for entry in harmless:
        verdict = judge(entry["text"], entry["place"], "standard", rules)
        wrong.update(verdict.rules)
        withheld += verdict.blocked
    rows = [
        f"| {name} | {wanted[name]} | {hit[name]} | {share(hit[name], wanted[name])} | {wrong[name]} "
        f"| {share(right[name], right[name] + wrong[name])} |"
        for name in rules.rules
    ]
    total = sum(wanted.values()), sum(hit.values()), sum(right.values()), sum(wrong.values())
    return "\n".join([
        f"{len(harmful)} harmful and {len(harmless)} harmless texts; harmless ones withheld at `standard`: {withheld}.",
        "",
        "| rule | harmful texts | found | recall | harmless texts flagged | precision |",
        "|---|---|---|---|---|---|",
        *rows,
        f"| all | {total[0]} | {total[1]} | {share(total[1], total[0])} | {total[3]} "
        f"| {share(total[2], total[2] + total[3])} |",
    ])  # fmt: skip


def languages():
    """One row per language: the share of its harmful texts that the rule meant finds, and harmless texts flagged."""
    rules = shipped_policy().document.moderation
    harmful, harmless = corpus("moderation/languages_harmful.jsonl"), corpus("moderation/languages_harmless.jsonl")
    wanted, hit, tried, wrong, withheld = Counter(), Counter(), Counter(), Counter(), 0
    for entry in harmful:
        wanted[entry["language"]] += 1
        hit[entry["language"]] += entry["rule"] in judge(entry["text"], "tool_output", "standard", rules).rules
    for entry in harmless:
        verdict = judge(entry["text"], "tool_output", "standard", rules)
        tried[entry["language"]] += 1
        wrong[entry["language"]] += verdict.flagged
        withheld += verdict.blocked
    return "\n".join([
        f"{len(harmful)} instructions to a model and {len(harmless)} harmless texts, as outputs of tools; "
        f"harmless ones withheld at `standard`: {withheld}.",
        "",
        "| language | instructions | found | harmless texts | flagged |",
        "|---|---|---|---|---|",
        *(f"| {name} | {wanted[name]} | {hit[name]} | {tried[name]} | {wrong[name]} |" for name in sorted(wanted)),
        f"| all | {len(harmful)} | {hit.total()} | {len(harmless)} | {wrong.total()} |",
    ])  # fmt: skip


def redaction():
    """One row per shape: secrets of its kind that are hidden, whichever shape found them; finds in harmless texts."""
    secrets, harmless = corpus("redaction/secrets.jsonl"), corpus("redaction/harmless.jsonl")
    wanted, hidden, wrong = Counter(), Counter(), Counter()
    for entry in secrets:
        shown = redact_text(entry["text"])
        wanted[entry["shape"]] += 1
        hidden[entry["shape"]] += not any(secret in shown for secret in entry["hide"])
    for entry in harmless:
        wrong.update(find.shape.name for find in finder().finds(entry["text"]))
    changed = sum(redact_text(entry["text"]) != entry["text"] for entry in harmless)
    names = [shape.name for shape in SHAPES if wanted[shape.name] or wrong[shape.name]]
    rows = [
        f"| {name} | {wanted[name]} | {hidden[name]} | {share(hidden[name], wanted[name])} | {wrong[name]} "
        f"| {share(hidden[name], hidden[name] + wrong[name])} |"
        for name in names
    ]
    total = sum(wanted.values()), sum(hidden.values()), sum(wrong.values())
    return "\n".join([
        f"{len(secrets)} texts with a secret and {len(harmless)} without; harmless ones changed: {changed}.",
        "",
        "| shape | secrets | hidden | recall | found in harmless texts | precision |",
        "|---|---|---|---|---|---|",
        *rows,
        f"| all | {total[0]} | {total[1]} | {share(total[1], total[0])} | {total[2]} "
        f"| {share(total[1], total[1] + total[2])} |",
    ])  # fmt: skip


PAGES = {"docs/moderation.md": lambda: f"{moderation()}\n\n{languages()}", "docs/redaction.md": redaction}


def written(page, table):
    """The page with the table between its marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}"


def main():
    for name, table in PAGES.items():
        path = ROOT / name
        path.write_text(written(path.read_text(), table()))
        print(f"{name}: {table().splitlines()[0]}")


if __name__ == "__main__":
    main()
