"""The wire form of a job and of what it found, in both dialects.

Source: Azure/azure-rest-api-specs, TextAnalytics v3.1 and AnalyzeText 2023-04-01; recordings of
Azure/azure-sdk-for-python. The job's envelope is read strictly; a document's entities are read one
by one, so that a broken one is left out and said, and the others stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, Field, ValidationError

from careweir_kit.adapter import VendorAnswer
from careweir_kit.classify import json_object
from careweir_kit.errors import VendorProtocolBroken
from careweir_kit.mapping import WIRE

JOB_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_REF: Final = re.compile(r"documents/(\d{1,6})/entities/(\d{1,6})$", re.ASCII)


class Assertion(BaseModel):
    """How an entity is meant; what is left out is the plain case."""

    model_config = WIRE

    certainty: str = "positive"
    conditionality: str | None = None
    association: str | None = None
    temporality: str | None = None


class Link(BaseModel):
    """A code of the entity in one vocabulary."""

    model_config = WIRE

    dataSource: str
    id: str


class Entity(BaseModel):
    """One entity; ``offset`` and ``length`` count code points, as was asked for."""

    model_config = WIRE

    offset: int = Field(ge=0)
    length: int = Field(ge=1)
    text: str = Field(min_length=1)
    category: str
    confidenceScore: float = Field(ge=0, le=1)
    assertion: Assertion | None = None
    name: str | None = None
    links: list[Link] | None = None


class End(BaseModel):
    """One end of a relation."""

    model_config = WIRE

    ref: str
    role: str


class Relation(BaseModel):
    """A relation between entities, by their places in the list."""

    model_config = WIRE

    relationType: str
    entities: list[End]

    def places(self, document: int) -> dict[str, int]:
        """The place of the entity in each role; of a reference only the end counts."""
        found = {}
        for end in self.entities:
            match = _REF.search(end.ref)
            if match and int(match[1]) == document:
                found[end.role] = int(match[2])
        return found


class Document(BaseModel):
    """What was found in one document; entities and relations are still to be read one by one."""

    model_config = WIRE

    id: str
    entities: list[Any]
    relations: list[Any] = Field(default_factory=list)
    warnings: list[Any] = Field(default_factory=list)


class FailedDocument(BaseModel):
    """A document that the service could not read; its words are not kept."""

    model_config = WIRE

    id: str


class Results(BaseModel):
    """The results of one task."""

    model_config = WIRE

    documents: list[Document]
    errors: list[FailedDocument] = Field(default_factory=list)
    modelVersion: str | None = None
    nextLink: str | None = None
    oldNextLink: str | None = Field(default=None, alias="@nextLink")


class Item(BaseModel):
    """One task of a job."""

    model_config = WIRE

    status: str | None = None
    results: Results | None = None


class Tasks(BaseModel):
    """The tasks of a job; ``failed`` counts those that did not come to an end."""

    model_config = WIRE

    failed: int = 0
    inProgress: int = 0
    items: list[Item] = Field(default_factory=list)


class JobError(BaseModel):
    """An error of a job; only its code is read, and only compared."""

    model_config = WIRE

    code: str = ""


class Job(BaseModel):
    """A job: in the language dialect with tasks, in the older one with results at the top."""

    model_config = WIRE

    jobId: str
    status: str
    errors: list[JobError] = Field(default_factory=list)
    tasks: Tasks | None = None
    results: Results | None = None
    nextLink: str | None = None
    oldNextLink: str | None = Field(default=None, alias="@nextLink")

    @property
    def parts(self) -> list[Results]:
        """The results that are there, whichever dialect they came in."""
        found = [item.results for item in self.tasks.items] if self.tasks else []
        return [part for part in (self.results, *found) if part is not None]

    @property
    def cut(self) -> bool:
        """Whether the service says that there is more, or that a part did not come."""
        more = [self.nextLink, self.oldNextLink]
        more += [link for part in self.parts for link in (part.nextLink, part.oldNextLink)]
        tasks = self.tasks or Tasks()
        unfinished = any(
            (item.status or "succeeded").lower() != "succeeded" for item in tasks.items
        )
        missing = any(item.results is None for item in tasks.items)
        return any(more) or unfinished or missing or bool(tasks.failed or tasks.inProgress)


@dataclass(frozen=True, slots=True)
class Readable:
    """The entities of a document that could be read, by their places, and how many could not."""

    entities: dict[int, Entity]
    relations: list[Relation]
    broken: int


def job_of(answer: VendorAnswer) -> Job:
    """Read a job. Raises VendorProtocolBroken."""
    try:
        job = Job.model_validate(json_object(answer))
    except ValidationError:
        raise VendorProtocolBroken("not a job of this service") from None
    if not JOB_ID.fullmatch(job.jobId):
        raise VendorProtocolBroken("a job without a usable id")
    return job


def readable(document: Document) -> Readable:
    """Read entities and relations one by one. Raises VendorProtocolBroken when no entity can be."""
    entities = {}
    for place, raw in enumerate(document.entities):
        try:
            entities[place] = Entity.model_validate(raw)
        except ValidationError:
            continue
    relations = list(_relations(document.relations))
    broken = len(document.entities) - len(entities) + len(document.relations) - len(relations)
    if document.entities and not entities:
        raise VendorProtocolBroken("no entity of the document can be read")
    return Readable(entities, relations, broken)


def _relations(listed: list[Any]) -> Iterator[Relation]:
    for raw in listed:
        try:
            yield Relation.model_validate(raw)
        except ValidationError:
            continue
