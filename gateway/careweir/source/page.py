"""One answer of a FHIR server, read strictly: a page of a search, or a single resource.

The bytes of each resource are kept as they came; what was decoded from them is used to check.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from careweir.minimise import SubjectMismatch
from careweir.source.errors import SourceUnavailable
from careweir_kit.strict_json import JsonRefused, decode

_OUTCOME: Final = "OperationOutcome"
# Issues that say: there is more, and you did not get it. Source: FHIR R4 issue-type.
_INCOMPLETE: Final = frozenset(
    {"incomplete", "timeout", "too-costly", "too-long", "throttled", "transient", "no-store"}
    | {"lock-error", "exception"}
)


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One resource as it came (``raw``) and as it reads (``data``)."""

    kind: str
    id: str
    raw: bytes
    data: dict[str, Any]

    @property
    def reference(self) -> str:
        """``Type/id``."""
        return f"{self.kind}/{self.id}"


@dataclass(frozen=True, slots=True)
class Page:
    """The resources of one page, and where the next one is."""

    items: tuple[Item, ...]
    next: str | None


class _Entry(msgspec.Struct, gc=False):
    resource: msgspec.Raw = msgspec.Raw()


class _Bundle(msgspec.Struct):
    entry: list[_Entry] = []


_read_bundle = msgspec.json.Decoder(_Bundle).decode


def read_page(body: bytes, *, kind: str, patient: frozenset[str]) -> Page:
    """Read a searchset of one type.

    Args:
        patient: every reference that means the patient whose chart is pulled.

    Raises:
        SourceUnavailable: not a searchset of this type, or one that says it is not complete.
        SubjectMismatch: a resource of it is about somebody else.
    """
    bundle = _decoded(body)
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "searchset":
        raise SourceUnavailable("the FHIR server did not answer with a searchset")
    try:
        raws = [bytes(entry.resource) for entry in _read_bundle(body).entry]
    except msgspec.MsgspecError:
        raise SourceUnavailable("the FHIR server answered with an unreadable searchset") from None
    entries = bundle.get("entry", [])
    items = []
    for entry, raw in zip(entries, raws, strict=True):
        resource = entry.get("resource")
        if not isinstance(resource, dict):
            raise SourceUnavailable("an entry of the searchset holds no resource")
        if resource.get("resourceType") == _OUTCOME:
            _check_outcome(resource)
            continue
        items.append(_item(resource, raw, kind, patient))
    return Page(tuple(items), _next(bundle))


def read_resource(body: bytes, *, kind: str, id: str) -> Item:
    """Read the answer of a read; raises SourceUnavailable or SubjectMismatch (another id)."""
    item = _item(_decoded(body), body, kind, frozenset())
    if item.id != id:
        raise SubjectMismatch("the FHIR server answered with another resource", path="source")
    return item


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        value = decode(body)
    except (JsonRefused, RecursionError):
        raise SourceUnavailable("the FHIR server answered with unreadable JSON") from None
    if not isinstance(value, dict):
        raise SourceUnavailable("the FHIR server answered with something else than a resource")
    return value


def _item(resource: dict[str, Any], raw: bytes, kind: str, patient: frozenset[str]) -> Item:
    if resource.get("resourceType") != kind:
        raise SourceUnavailable("the FHIR server answered with another type than was asked for")
    number = resource.get("id")
    if not isinstance(number, str) or not number:
        raise SourceUnavailable("a resource of the FHIR server has no id")
    for name in ("subject", "patient"):
        about = resource.get(name)
        target = about.get("reference") if isinstance(about, dict) else None
        if not patient or not isinstance(target, str):
            continue
        if target.partition("/_history/")[0] not in patient:
            raise SubjectMismatch("the FHIR server answered about another patient", path="source")
    return Item(kind, number, raw, resource)


def _check_outcome(outcome: dict[str, Any]) -> None:
    """An OperationOutcome among the entries is no data; one that says "not all" ends the pull."""
    for issue in _dicts(outcome.get("issue")):
        severity, code = issue.get("severity"), issue.get("code")
        if severity in ("error", "fatal") or code in _INCOMPLETE:
            raise SourceUnavailable("the FHIR server says that its answer is not complete")


def _next(bundle: dict[str, Any]) -> str | None:
    links = [link for link in _dicts(bundle.get("link")) if link.get("relation") == "next"]
    if not links:
        return None
    url = links[0].get("url")
    if len(links) > 1 or not isinstance(url, str) or not url:
        raise SourceUnavailable("the FHIR server's next page cannot be told")
    return url


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())
