"""Asks a FHIR server one search at a time and reads every page of it, within limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from careweir.errors import QuestionInvalid
from careweir.fanout import Transport
from careweir.source.compile import Search
from careweir.source.errors import ChartTooLarge, SourceUnavailable
from careweir.source.page import Item, read_page, read_resource
from careweir.source.place import Place
from careweir.source.tokens import Tokens
from careweir_kit.adapter import VendorAnswer, VendorRequest
from careweir_kit.errors import VendorError, VendorProtocolBroken

_MEDIA: Final = frozenset({"application/fhir+json", "application/json"})
_RETRY_AFTER_MAX_S: Final = 3600


@dataclass(slots=True)
class Budget:
    """What one pull may still take; shared by all of its searches."""

    pages: int
    resources: int
    bytes: int

    def take(self, items: int, size: int) -> None:
        """Count one answer. INVARIANT: a chart is whole or refused, never silently cut."""
        self.pages -= 1
        self.resources -= items
        self.bytes -= size
        if self.pages < 0:
            raise ChartTooLarge("the chart has more pages than a pull from this source may read")
        if self.resources < 0:
            raise ChartTooLarge(
                "the chart has more resources than a pull from this source may take"
            )
        if self.bytes < 0:
            raise ChartTooLarge("the chart has more bytes than a pull from this source may take")


@dataclass(frozen=True, slots=True)
class SourceClient:
    """Speaks to one configured base URL and to nothing else."""

    base: Place
    transport: Transport
    tokens: Tokens

    async def run(
        self, search: Search, *, scope: str, patient: frozenset[str], budget: Budget
    ) -> Sequence[Item]:
        """Every resource that a search finds, or the one that a read names.

        Raises:
            SourceUnavailable: no answer, or none that can be used.
            ChartTooLarge: the budget ends before the pages do.
            SubjectMismatch: something in the answer is about another patient.
            QuestionInvalid: the server does not know the patient.
        """
        path = f"{self.base.path}/{search.path}"
        if search.id is not None:
            answer = await self._get(path, scope, budget)
            if answer.status in (404, 410):
                raise QuestionInvalid("the source does not know this patient", path="subject")
            _check(answer)
            budget.take(1, len(answer.body))
            return [read_resource(answer.body, kind=search.resource, id=search.id)]

        found: list[Item] = []
        seen: set[str] = set()
        following: str | None = path
        while following is not None:
            seen.add(following)
            answer = await self._get(following, scope, budget)
            _check(answer)
            page = read_page(answer.body, kind=search.resource, patient=patient)
            budget.take(len(page.items), len(answer.body))
            found += page.items
            following = self._next(page.next, seen)
        return found

    def _next(self, link: str | None, seen: set[str]) -> str | None:
        if link is None:
            return None
        path = self.base.below(link)
        if path is None:
            raise SourceUnavailable("the FHIR server's next page is on another server")
        if path in seen:
            raise SourceUnavailable("the FHIR server's pages lead round in a circle")
        return path

    async def _get(self, path: str, scope: str, budget: Budget) -> VendorAnswer:
        header = await self.tokens.header(scope)
        answer = await self._send(path, header, budget)
        if answer.status == 401 and self.tokens.drop(scope, header):
            header = await self.tokens.header(scope)
            answer = await self._send(path, header, budget)
        return answer

    async def _send(self, path: str, header: str | None, budget: Budget) -> VendorAnswer:
        headers = {"accept": "application/fhir+json"}
        if header is not None:
            headers["authorization"] = header
        request = VendorRequest("GET", path, b"", headers)
        try:
            return await self.transport.send(
                self.base.origin, request, bytes_max=max(budget.bytes, 0)
            )
        except VendorProtocolBroken:
            raise ChartTooLarge(
                "an answer of the source is larger than a pull may take, or is encoded"
            ) from None
        except VendorError:
            raise SourceUnavailable("the FHIR server did not answer") from None


def _check(answer: VendorAnswer) -> None:
    if answer.status != 200:
        wait = answer.headers.get("retry-after", "")
        seconds = int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 6 else None
        raise SourceUnavailable(
            f"the FHIR server answered with status {answer.status}",
            retry_after_s=None if seconds is None else min(seconds, _RETRY_AFTER_MAX_S),
        )
    if answer.content_type not in _MEDIA:
        raise SourceUnavailable("the FHIR server answered with something else than FHIR JSON")
