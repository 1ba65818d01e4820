"""Renders an environment as a CycloneDX 1.6 bill of materials: its distributions, their digests and sources."""

from collections.abc import Iterable
from dataclasses import dataclass

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from koschey import __version__


@dataclass(frozen=True, slots=True)
class SbomComponent:
    """One distribution, with the facts that are known."""

    name: str
    version: str
    url: str | None
    """The URL that its file came from."""
    sha256: str | None
    index: str | None = None
    """The index that hosts it, unless that is the public one."""


def render_sbom(parts: Iterable[SbomComponent]) -> str:
    """Return the bill of materials as JSON."""
    bom = Bom(components=[_component(part) for part in parts])
    bom.metadata.tools.components.add(Component(name="koschey", version=__version__, type=ComponentType.APPLICATION))
    return JsonV1Dot6(bom).output_as_string(indent=2)


def _component(part: SbomComponent) -> Component:
    purl = PackageURL(
        type="pypi",
        name=part.name,
        version=part.version,
        qualifiers={"repository_url": part.index} if part.index else None,
    )
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=part.sha256)] if part.sha256 else []
    references = (
        [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(part.url), hashes=hashes)]
        if part.url
        else []
    )
    return Component(
        name=part.name,
        version=part.version,
        type=ComponentType.LIBRARY,
        bom_ref=purl.to_string(),
        purl=purl,
        hashes=hashes,
        external_references=references,
    )
