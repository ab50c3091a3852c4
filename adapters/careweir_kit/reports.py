"""The text of the newest report or document of the minimised chart: pure helpers for adapters."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from careweir_kit.adapter import Ask
from careweir_kit.errors import InputsMissing
from careweir_kit.payload import NEVER, STANDING, effective_of, listed, moment, resources


@dataclass(frozen=True, slots=True)
class ReportText:
    """The text of one report. Offsets into ``text`` count Unicode code points."""

    text: str
    effective: str | None
    reference: str


def newest_report(
    payload: Mapping[str, Any], *, as_of: str, preliminary: bool = False
) -> ReportText | None:
    """The newest report or document that stands and has plain text, or None."""
    allowed = STANDING | {"appended"} | ({"preliminary"} if preliminary else set())
    now = moment(as_of)
    found: list[tuple[datetime, ReportText]] = []
    for resource_type in ("DiagnosticReport", "DocumentReference"):
        for resource in resources(payload, resource_type):
            status = resource.get("status")
            effective = effective_of(resource)
            at = moment(effective) or NEVER
            text = _text_of(resource)
            current = (isinstance(status, str) and status in allowed) or (
                resource_type == "DocumentReference" and status == "current"
            )
            if current and text and (now is None or at <= now):
                reference = f"{resource_type}/{resource.get('id', '')}"
                found.append((at, ReportText(text, effective, reference)))
    return max(found, key=lambda item: item[0])[1] if found else None


def needed_report(
    ask: Ask, *, preliminary: bool = False, characters_max: int | None = None
) -> ReportText:
    """``newest_report`` for a tool that cannot do without; raises InputsMissing.

    A text that is too long is not sent at all: a finding in the cut part would be missed unseen.
    """
    report = newest_report(ask.payload, as_of=ask.as_of, preliminary=preliminary)
    if report is None:
        raise InputsMissing(("report text: not in the chart",))
    if characters_max is not None and len(report.text) > characters_max:
        raise InputsMissing(("report text: longer than the service reads",))
    return report


def _text_of(resource: Mapping[str, Any]) -> str:
    attachments: list[Any] = list(listed(resource.get("presentedForm")))
    for content in listed(resource.get("content")):
        if isinstance(content, Mapping):
            attachments.append(content.get("attachment"))
    parts = [text for text in map(_plain_text, attachments) if text]
    conclusion = resource.get("conclusion")
    if isinstance(conclusion, str) and not any(conclusion in part for part in parts):
        parts.append(conclusion)
    return "\n".join(parts).strip()


def _plain_text(attachment: object) -> str:
    if not isinstance(attachment, Mapping):
        return ""
    media_type = str(attachment.get("contentType", "")).partition(";")[0].strip().lower()
    data = attachment.get("data")
    if media_type != "text/plain" or not isinstance(data, str):
        return ""
    try:
        return base64.b64decode("".join(data.split()), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""
