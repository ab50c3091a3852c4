"""Only what a tool file declares: the last gate before a chart becomes a request.

The minimiser has already left out what the tool does not need. An adapter that passes whole
resources on (CDS Hooks, FHIR services) passes them through here, so that no element travels that
its tool file does not name, whatever the chart carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from careweir_kit.tool import Tool

OWN_EXTENSIONS: Final = "urn:careweir:"
_ALWAYS: Final = frozenset(
    {"resourceType", "id", "meta", "subject", "patient", "encounter", "dataAbsentReason"}
)


def declared(resource: Mapping[str, Any], tool: Tool) -> dict[str, Any] | None:
    """The elements of a resource that the tool's ``needs`` name; None when its type is not named.

    Kept besides: what identifies the resource (pseudonyms by now), marks for masked values, and
    careweir's own extensions, which hold what a transform made (an age in place of a birth date).
    """
    kind = resource.get("resourceType")
    needs = [need for need in tool.needs if need.resource == kind]
    if not needs:
        return None
    names = {path.partition(".")[0] for need in needs for path in need.paths} | _ALWAYS
    kept = {name: value for name, value in resource.items() if name.removeprefix("_") in names}
    extensions = resource.get("extension")
    own = [e for e in extensions if _is_own(e)] if isinstance(extensions, list) else []
    return kept | ({"extension": own} if own else {})


def _is_own(extension: object) -> bool:
    url = extension.get("url") if isinstance(extension, Mapping) else None
    return isinstance(url, str) and url.startswith(OWN_EXTENSIONS)
