"""The version of this code, as put on every derived record."""

from importlib.metadata import PackageNotFoundError, version


def code_version(build: str | None = None) -> str:
    """Return `version+build`; build: a short commit id where the deployment knows it (setting `build`)."""
    try:
        released = version("endocrine")
    except PackageNotFoundError:
        released = "0"
    return f"{released}+{build}" if build else released
