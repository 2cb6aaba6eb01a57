"""The folder of each agent below agents/: that of its name but for a few, whose names are contracts."""

_OTHERS = {"registry": "names"}


def folder_of(name: str) -> str:
    """Return the folder, below agents/, of the agent of a name.

    >>> folder_of("memory"), folder_of("registry")
    ('memory', 'names')
    """
    return _OTHERS.get(name, name)
