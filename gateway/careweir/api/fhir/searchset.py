"""A Bundle of what was found: absolute links, honest totals, and what was passed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

from careweir.api.fhir.base import Json
from careweir_fhir.operation_outcome import Issue, operation_outcome


@dataclass(frozen=True, slots=True)
class Searchset:
    """One page. ``used`` are the parameters that were followed, ``following`` what a next page
    needs beside them (None: there is none), ``issues`` what the caller should know, ``included``
    what was asked to be brought along: it is no match and is not counted.
    """

    base: str
    kind: str
    found: Sequence[Json]
    used: Sequence[tuple[str, str]]
    following: tuple[str, str] | None = None
    here: tuple[str, str] | None = None
    total: int | None = None
    issues: Sequence[Issue] = field(default=())
    included: Sequence[Json] = field(default=())

    def bundle(self) -> Json:
        """The resource."""
        links = [{"relation": "self", "url": self._url(self.here)}]
        if self.here is not None:
            links.append({"relation": "first", "url": self._url(None)})
        if self.following is not None:
            links.append({"relation": "next", "url": self._url(self.following)})
        bundle: Json = {"resourceType": "Bundle", "type": "searchset", "link": links}
        if self.total is not None:
            bundle["total"] = self.total
        entries = [self._entry(resource, "match") for resource in self.found]
        entries += [self._entry(resource, "include") for resource in self.included]
        if self.issues:
            outcome = operation_outcome(self.issues)
            # It is no resource of this base; but each entry of a searchset needs an identity.
            url = f"urn:uuid:{uuid5(NAMESPACE_URL, '; '.join(map(repr, self.issues)))}"
            entries.append({"fullUrl": url, "resource": outcome, "search": {"mode": "outcome"}})
        return bundle | ({"entry": entries} if entries else {})

    def _url(self, more: tuple[str, str] | None) -> str:
        parameters = urlencode([*self.used, *([more] if more else [])])
        return f"{self.base}/{self.kind}" + (f"?{parameters}" if parameters else "")

    def _entry(self, resource: Json, mode: str) -> Json:
        return {
            "fullUrl": f"{self.base}/{resource['resourceType']}/{resource['id']}",
            "resource": resource,
            "search": {"mode": mode},
        }
