"""The table of all metrics. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from endocrine.pipeline.views.metrics.catalogue import GATEWAY_METRICS, METRICS, Metric
from reference.markdown import table


def metric_parts() -> Mapping[str, Sequence[str]]:
    """Part of docs/observability.md to its lines."""
    return {"metrics": _rows(METRICS), "gateway metrics": _rows(GATEWAY_METRICS)}


def _rows(metrics: Iterable[Metric]) -> list[str]:
    rows = ((f"`{one.name}`", one.kind, one.unit, ", ".join(one.labels) or "none", one.help) for one in metrics)
    return list(table(("metric", "type", "unit", "labels", "meaning"), rows))
