"""How many examples a property is tried with: `make properties` tries all, `make test` a quarter."""

from hypothesis import HealthCheck, settings

QUICK, THOROUGH = "endocrine", "thorough"
"""Profiles of Hypothesis: that of `make test`, and that of `make properties` (`--hypothesis-profile thorough`)."""
_ALL = 100
"""Examples of a property that names no number, with the thorough profile: what Hypothesis itself takes."""
_SHARE = 4
_FEWEST = 5


def register() -> None:
    """Register both profiles and load the quick one. No test fails because the machine is slow."""
    common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile(THOROUGH, max_examples=_ALL, **common)  # type: ignore[arg-type]
    settings.register_profile(QUICK, max_examples=_ALL // _SHARE, **common)  # type: ignore[arg-type]
    settings.load_profile(QUICK)


def examples(thorough: int) -> int:
    """Return how many examples the loaded profile tries of a property that the thorough one tries so many of: its
    share of them, at least five, or all where there are fewer."""
    return max(min(thorough, _FEWEST), thorough * settings().max_examples // _ALL)
