"""A draft of a policy, as text, and its mistakes at their lines."""

import os
import tempfile
from pathlib import Path

from endocrine.agents.policy.compiled import Policy
from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy


def checked(text: str) -> tuple[Policy | None, list[str]]:
    """Return the policy of a draft, laid over the shipped one; or its mistakes, one a line, `draft:LINE: ...`."""
    with tempfile.TemporaryDirectory(prefix="endocrine-draft-") as folder:
        path = Path(folder) / "draft"
        path.write_text(text, encoding="utf-8")
        try:
            return load_policy(path, os.environ), []
        except PolicyFileError as error:
            return None, [line.replace(str(path), "draft") for line in error.errors]
