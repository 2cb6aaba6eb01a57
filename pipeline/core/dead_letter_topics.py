"""Names of the topics of dead letters: `topic.dlq` holds the dead letters of `topic`."""

SUFFIX = ".dlq"


def dead_letters_of(topic: str) -> str:
    """Return the topic of a topic's dead letters.

    >>> dead_letters_of("signals")
    'signals.dlq'
    """
    return topic + SUFFIX


def holds_dead_letters(topic: str) -> bool:
    """Return whether a topic holds dead letters.

    >>> holds_dead_letters("signals.dlq"), holds_dead_letters("signals")
    (True, False)
    """
    return topic.endswith(SUFFIX)


def source_of(topic: str) -> str:
    """Return the topic whose dead letters a topic holds; any other topic as it is.

    >>> source_of("signals.dlq"), source_of("signals")
    ('signals', 'signals')
    """
    return topic.removesuffix(SUFFIX)
