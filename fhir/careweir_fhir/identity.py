"""Names that come out the same every time: ids, fullUrls, Device ids."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from uuid import UUID, uuid5

_NAMESPACE = UUID("6d1f6a3c-0d0e-5b0c-9a57-1b7f4f0d2c11")  # ours alone; fixed for good
_ID_MAX = 64  # Source: FHIR R4 datatypes, id
_SLUG_MAX = 40
GATEWAY_DEVICE = "careweir-gateway"


def resource_id(inference: str, part: str) -> str:
    """The id of one part of an answer (``inf-01h…-f0``): letters, digits, ``-`` and ``.``.

    An inference id whose spelling has to change is told apart from its like by a digest.
    """
    slug = _slug(inference)
    if slug != inference.replace("_", "-") or len(slug) + len(part) + 1 > _ID_MAX:
        slug = f"{slug[:_SLUG_MAX]}-{_digest(inference)}"
    return f"{slug}-{part}"


@lru_cache(maxsize=4096)
def device_id(tool: str, version: str | None) -> str:
    """One id for each tool and version."""
    name = f"{tool}-{version}" if version else tool
    return f"{_slug(name)[:_SLUG_MAX]}-{_digest('|'.join((tool, version or '')))}"


@lru_cache(maxsize=4096)
def full_url(resource_type: str, identifier: str) -> str:
    """The ``urn:uuid:`` under which a Bundle knows a resource."""
    return f"urn:uuid:{uuid5(_NAMESPACE, f'{resource_type}/{identifier}')}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-") or "x"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
