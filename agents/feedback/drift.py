"""The drift alarm: ratings that go against what safety did (rules, section 3)."""

from collections.abc import Sequence

from endocrine.agents.feedback.rules import Drift


def diverges(rating: int, mode: str | None, incident: bool, rules: Drift) -> bool:
    """Return whether a rating is high on a turn with an incident, or low on a strict turn."""
    return (incident and rating >= rules.high_rating) or (mode == "strict" and rating <= rules.low_rating)


def alarm(times: Sequence[float], rules: Drift) -> bool:
    """Return whether more than `more_than` of these event times (ascending, seconds) lie within one window.

    Any window counts, not only the one that ends now: cards may arrive out of order.
    """
    n = rules.more_than
    return any(late - early <= rules.window_s for early, late in zip(times, times[n:], strict=False))
