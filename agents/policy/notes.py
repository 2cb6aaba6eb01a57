"""What a valid policy is weaker in than it looks: lines for the person who checks it."""

from collections.abc import Iterator

from endocrine.agents.policy.document import Document


def notes(document: Document) -> Iterator[str]:
    """Yield each as one line that begins with its place in the document, as mistakes do."""
    windowed = sorted(name for name, rules in document.applications.root.items() if rules.stream == "windowed")
    if not windowed:
        return
    for name, rule in document.moderation.blocking("output").items():
        if rule.span is None:
            yield (
                f"moderation.rules.{name}: no span: in windowed streams (applications: {', '.join(windowed)}) it is "
                "judged at the end only, when text has left"
            )
