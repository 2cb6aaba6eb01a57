"""Policies made of the shipped one and something laid over it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from endocrine.agents.policy.compiled import Policy
from endocrine.agents.policy.errors import PolicyError
from endocrine.pipeline.process.policy_files import PolicyFileError, load_policy, shipped_policy
from policies import policy_over


@pytest.fixture(scope="session")
def shipped() -> Policy:
    return shipped_policy()


@pytest.fixture(scope="session")
def compiled() -> Callable[[dict[str, Any]], Policy]:
    """The shipped policy with a partial document laid over it, compiled."""
    return policy_over


@pytest.fixture(scope="session")
def refused(compiled: Callable[[dict[str, Any]], Policy]) -> Callable[[dict[str, Any]], list[str]]:
    """The mistakes for which a partial document is refused, as lines; none when it is not refused."""

    def make(partial: dict[str, Any]) -> list[str]:
        try:
            compiled(partial)
        except PolicyError as error:
            return [str(mistake) for mistake in error.errors]
        return []

    return make


@pytest.fixture
def file_mistakes(tmp_path: Path) -> Callable[[str | bytes], list[str]]:
    """The mistakes of a policy file with this content, its folder left out of them."""

    def check(content: str | bytes) -> list[str]:
        path = tmp_path / "mine.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            load_policy(path)
        except PolicyFileError as error:
            return [mistake.replace(f"{tmp_path}/", "") for mistake in error.errors]
        return []

    return check
