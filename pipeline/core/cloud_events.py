"""The headers of a CloudEvent in binary mode, for records written beside the agents: by connectors, commands, tools."""

from endocrine.pipeline.core.records import CE_ID, Header, event_time


def cloud_event(ce_id: bytes, source: str, ce_type: bytes, subject: bytes, ts: float | None) -> list[Header]:
    """Return the headers of a record with a JSON value.

    source: such as `endocrine/dlq`. subject: empty for none. ts: its event time, seconds since 1970; without one, or
    outside the years 1 to 9999, there is no `ce_time`.

    >>> [name for name, _ in cloud_event(b"c1", "endocrine/dlq", b"endocrine.commands.v1", b"ann", 1.0)]
    ['ce_id', 'ce_source', 'ce_type', 'ce_specversion', 'ce_subject', 'ce_time', 'content-type']
    """
    headers: list[Header] = [
        (CE_ID, ce_id),
        ("ce_source", source.encode()),
        ("ce_type", ce_type),
        ("ce_specversion", b"1.0"),
    ]
    if subject:
        headers.append(("ce_subject", subject))
    if ts is not None and (time_text := event_time(ts)) is not None:
        headers.append(("ce_time", time_text.encode()))
    return [*headers, ("content-type", b"application/json")]
