"""The headers of a CloudEvent in binary mode, for records that commands and tools of ours write beside the agents."""

from endocrine.pipeline.core.records import CE_ID, Header, event_time


def cloud_event(ce_id: bytes, source: str, ce_type: bytes, subject: bytes, ts: float) -> list[Header]:
    """Return the headers of a record with a JSON value. ts: its event time, seconds since 1970.

    >>> [name for name, _ in cloud_event(b"c1", "dlq", b"endocrine.commands.v1", b"ann", 1.0)]
    ['ce_id', 'ce_source', 'ce_type', 'ce_specversion', 'ce_subject', 'ce_time', 'content-type']
    """
    return [
        (CE_ID, ce_id),
        ("ce_source", f"endocrine/{source}".encode()),
        ("ce_type", ce_type),
        ("ce_specversion", b"1.0"),
        ("ce_subject", subject),
        ("ce_time", (event_time(ts) or "").encode()),
        ("content-type", b"application/json"),
    ]
