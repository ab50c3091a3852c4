"""Residency: the regions to which a site may send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from careweir.access.schema import SitesFile
from careweir.access.source import Source, parse


@dataclass(frozen=True, slots=True)
class Regions:
    """The regions that are open to one site, and the rule that says so."""

    names: frozenset[str]
    rule: str


@dataclass(frozen=True, slots=True)
class Residency:
    """``sites.yaml``, compiled."""

    default: Regions
    sites: Mapping[str, Regions]

    def of(self, site: str | None) -> Regions:
        """The regions of a site; an unlisted one has the default."""
        return self.sites.get(site or "", self.default)


def compile_residency(source: Source) -> Residency:
    """Check ``sites.yaml``: every region is declared. Raises PolicyInvalid."""
    file = parse(source, SitesFile)
    for place, names in (
        (("default",), file.default),
        *((("sites", site), names) for site, names in file.sites.items()),
    ):
        for name in names:
            if name not in file.regions:
                raise source.refuse(place, f"{name!r} is not declared anywhere")
    return Residency(
        default=Regions(frozenset(file.default), f"default ({source.at(('default',))})"),
        sites={
            site: Regions(frozenset(names), f"site {site} ({source.at(('sites', site))})")
            for site, names in file.sites.items()
        },
    )
