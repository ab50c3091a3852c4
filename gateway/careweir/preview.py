"""What one tool would receive, down to the bytes, without sending anything."""

from __future__ import annotations

from typing import Any

from careweir.fanout import Prepared
from careweir.fanout.attempt import build
from careweir.ids import new_id
from careweir_kit.errors import InputsMissing, VendorError


def previewed(prepared: Prepared, *, as_of: str) -> dict[str, Any]:
    """The minimised payload, the request body as it would leave, and the field manifest."""
    manifest = prepared.minimised.manifest
    request: str | None = None
    without: tuple[str, ...] = ()
    if prepared.transport is not None and prepared.minimised.payload is not None:
        try:
            wire = build(prepared, request_id=new_id("att"), as_of=as_of, deadline_ms=1)
            request, without = wire.body.decode("utf-8", "replace"), wire.without
            manifest = manifest.sealed(id="", body=wire.body)
        except InputsMissing as error:
            without = error.names
        except VendorError:
            without = ("a chart that this tool's adapter can use",)
    return {
        "tool": prepared.tool.tool,
        "payload": prepared.minimised.payload,
        "request": request,
        "without": list(without),
        "manifest": manifest.model_dump(mode="json"),
    }
