"""A tool that tells what it was not sent knows the patient from somewhere else: say so. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import orjson

from careweir.fanout import Prepared
from careweir.log import log
from careweir.minimise import Chart, patient_names_and_numbers
from careweir.question import Reply
from careweir_fhir.model import Finding

NOTE = "its answer holds a name or number of the patient that it was not sent"


def flagged(chart: Chart, live: Sequence[Prepared], replies: Sequence[Reply]) -> list[Reply]:
    """The replies, with a note where findings identify the patient beyond what was sent."""
    names = tuple(patient_names_and_numbers(chart))
    payloads = {one.tool.tool: one.minimised.payload for one in live}
    return [
        _noted(reply) if reply.tool in payloads and _tells(names, payloads[reply.tool], reply)
        else reply
        for reply in replies
    ]  # fmt: skip


def told_unsent(replies: Sequence[Reply]) -> list[str]:
    """The tools that were flagged."""
    return [reply.tool for reply in replies if NOTE in reply.notes]


def _noted(reply: Reply) -> Reply:
    log.warning("tool told what it was not sent", tool=reply.tool, disclosure=reply.disclosure)
    return dataclasses.replace(reply, notes=(*reply.notes, NOTE))


def _tells(names: Sequence[str], payload: object, reply: Reply) -> bool:
    said = " ".join(word for one in reply.findings for word in _words(one)).lower()
    told = [name for name in names if name in said]
    sent = orjson.dumps(payload).decode().lower() if told else ""
    return any(name not in sent for name in told)


def _words(finding: Finding) -> Iterator[str]:
    """What a person would read in it."""
    target = None if finding.target is None else finding.target.display
    for value in (finding.value, finding.code.display, target, *finding.explanation):
        yield from (value,) if isinstance(value, str) else ()
