"""Bills of materials, as CycloneDX: of the container image, and of the locks."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

# What is really installed where this runs: Python, its packages (the base's, too), Debian's.
LIST = """
import importlib.metadata, json, pathlib, platform, site, sys
base = sys.base_prefix
folders = {*sys.path, *site.getsitepackages([base])}
found = {("generic", "python", platform.python_version())}
for one in importlib.metadata.distributions(path=sorted(folders)):
    found.add(("pypi", one.name, one.version))
status = pathlib.Path("/var/lib/dpkg/status")
for paragraph in status.read_text().split("\\n\\n") if status.exists() else ():
    fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line)
    if fields.get("Status", "").endswith(" installed"):
        found.add(("deb", fields["Package"], fields["Version"]))
print(json.dumps(sorted(found)))
"""


class Package(NamedTuple):
    """A package: where such a name comes from (a type of purl), its name and its version."""

    kind: str
    name: str
    version: str


def packages(listed: str) -> list[Package]:
    """Return the packages that `LIST` printed."""
    return [Package(*one) for one in json.loads(listed)]


def write(path: Path, whole: Component, contents: Iterable[Package]) -> None:
    """Write what something consists of as CycloneDX 1.6 JSON."""
    bom = Bom()
    bom.metadata.component = whole
    for one in contents:
        namespace = "debian" if one.kind == "deb" else None
        purl = PackageURL(one.kind, namespace, one.name, one.version)
        component = Component(name=one.name, version=one.version, purl=purl, bom_ref=str(purl))
        bom.components.add(component)
        bom.register_dependency(whole, [component])
    path.parent.mkdir(exist_ok=True)
    writer = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    path.write_text(writer.output_as_string(indent=2), encoding="utf-8", newline="\n")
