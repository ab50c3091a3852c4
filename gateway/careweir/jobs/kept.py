"""An answer as it is kept: what was given, who may read it again, and what FHIR needs of it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any, Literal

import msgspec

from careweir.access import Actor
from careweir.errors import AnswerLost, GatewayError
from careweir.question import Answer, Question, Reply
from careweir.stages import House, bundle_of
from careweir_fhir.bundle import ResultContext
from careweir_fhir.model import Conflict, Finding

Json = dict[str, Any]


class Reader(msgspec.Struct, frozen=True):
    """Who asked, as far as it decides who may read the answer again, and what he may hear."""

    client: str
    subject: str
    role: str
    purpose: str
    purposes: list[str] = []
    scopes: list[str] = []

    @classmethod
    def of(cls, actor: Actor, question: Question) -> Reader:
        """The asker of a question."""
        rights = sorted(actor.purposes), sorted(actor.scopes)
        return cls(actor.client, actor.subject, actor.role, question.purpose, *rights)

    def actor(self, site: str | None) -> Actor:
        """The asker again, at the question's site and without an override."""
        purposes, scopes = frozenset(self.purposes), frozenset(self.scopes)
        return Actor(self.subject, self.client, self.role, site, purposes, scopes)

    def admits(self, actor: Actor, site: str | None) -> bool:
        """The same application, role and purpose, and no other site than the question's."""
        same = (actor.client, actor.role) == (self.client, self.role)
        return same and self.purpose in actor.purposes and actor.site in (None, site)


class Kept(msgspec.Struct, frozen=True):
    """One inference: running, answered, or refused after it had been accepted.

    ``answer`` is the body of CONTRACT §3 with its HTTP ``status``; ``problem`` that of a refusal.
    """

    inference: str
    reader: Reader
    state: Literal["running", "done", "refused"]
    started: str
    status: int = 202
    answer: Json | None = None
    context: Json | None = None
    problem: Json | None = None
    retry_after_s: int | None = None
    patient_key: str | None = None
    compared_as: Json | None = None  # of ``Answered``, for results that come later

    def encoded(self) -> bytes:
        """The body of its record."""
        return msgspec.msgpack.encode(self)

    def as_fhir(self, house: House) -> Json:
        """The kept answer as a Bundle; raises FhirInvalid."""
        assert self.answer is not None
        assert self.context is not None
        conflicts = [Conflict.model_validate(one) for one in self.answer["conflicts"]]
        replies = [_reply(row) for row in self.answer["tools"] if row["tool"] in house.tools]
        return bundle_of(ResultContext(**self.context), house, self.positions(), conflicts, replies)

    def positions(self) -> list[Finding]:
        """All findings in the order that conflicts count in.

        The answer's own, earlier ones, and then of each late result its own and earlier ones.
        """
        answer = self.answer or {"findings": ()}
        every = list(answer["findings"])
        for part in (answer, *answer.get("late", ())):
            every += part["findings"] if part is not answer else ()
            every += [one["finding"] for one in part.get("earlier", ())]
        return [Finding.model_validate(one) for one in every]

    @property
    def unknown_tools(self) -> list[str]:
        """The tools that were asked and of which nobody knows what they answered."""
        rows = (self.answer or {}).get("tools", [])
        return [row["tool"] for row in rows if row["status"] == "unknown"]

    @property
    def stuck(self) -> bool:
        """Was it given up, so that a person must look?"""
        return (self.problem or {}).get("code") == AnswerLost.code

    @property
    def tags(self) -> dict[str, str]:
        """By which it is found; the patient as a keyed hash."""
        tags = {"state": self.state, "client": client_tag(self.reader.client)}
        tags |= {"patient": self.patient_key} if self.patient_key else {}
        tags |= {"stuck": "yes"} if self.stuck else {}
        return tags | ({"unknown": "yes"} if self.unknown_tools else {})


def client_tag(name: str) -> str:
    """An application's name as a tag, however long it is."""
    return hashlib.sha256(name.encode()).hexdigest()


def kept_answer(answer: Answer, reader: Reader, started: str, *, patient_key: str) -> Kept:
    """What is kept of an answer that was given."""
    return Kept(
        answer.id,
        reader,
        "done",
        started,
        status=answer.status,
        answer=answer.as_json(),
        patient_key=patient_key,
        context=asdict(answer.context),
        retry_after_s=answer.retry_after_s,
        compared_as=answer.compared_as,
    )


def kept_refusal(kept: Kept, error: GatewayError) -> Kept:
    """The end of a question that was accepted and then could not be answered."""
    problem = {"code": error.code, "title": error.title, "detail": error.detail}
    return msgspec.structs.replace(kept, state="refused", status=error.status, problem=problem)


def decoded(body: bytes) -> Kept:
    """What ``encoded`` made."""
    return msgspec.msgpack.decode(body, type=Kept)


def _reply(row: Json) -> Reply:
    return Reply(
        tool=row["tool"],
        version=row["version"],
        mode=row["mode"],
        status=row["status"],
        reason=row["reason"],
        without=tuple(row.get("without", ())),
    )
