"""Prints a bill of materials (CycloneDX, JSON) of the image: its Python packages, and the packages of its base.

Run while the image is built: `python sbom.py PYTHON PYPROJECT` describes the environment of PYTHON, whose main
component is the project in PYPROJECT, and what dpkg lists on this system. Exit code 1 where that is no valid CycloneDX.
"""

import json
import platform
import subprocess
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

FIELDS = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n"


def main(python: str, pyproject: str) -> None:
    """Print the bill of materials; the same bytes for the same packages."""
    tool = str(Path(sys.executable).with_name("cyclonedx-py"))
    argv = [tool, "environment", python, "--pyproject", pyproject, "--sv", "1.6", "--output-reproducible"]
    bill = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)
    bill["components"] = [*bill["components"], *_system()]
    text = json.dumps(bill, indent=1, sort_keys=True)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"error: not CycloneDX 1.6: {error}")
    print(text)


def _system() -> list[dict[str, str]]:
    """Packages of Debian in this image."""
    system = platform.freedesktop_os_release()
    listed = subprocess.run(["dpkg-query", "-W", "-f", FIELDS], stdout=subprocess.PIPE, check=True, text=True).stdout
    components = []
    for line in sorted(listed.splitlines()):
        status, name, version, architecture = line.split("\t")
        if status == "installed":
            distro = f"{system['ID']}-{system['VERSION_ID']}"
            qualifiers = {"arch": architecture, "distro": distro}
            purl = PackageURL("deb", system["ID"], name, version, qualifiers).to_string()
            components.append({"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl})
    return components


if __name__ == "__main__":
    main(*sys.argv[1:])
