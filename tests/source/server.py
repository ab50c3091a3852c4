"""A small FHIR R4 server over real HTTP: search, paging, reads, tokens; it keeps every request.

It answers what R4 says of the parameters it knows and refuses the others with 400. Dates without
a time are days of its own zone, as on real servers. ``Twist`` makes it misbehave in one way.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, quote

import uvicorn
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Json = dict[str, Any]
FHIR = "application/fhir+json"
BASE = "/fhir/R4"
CHOICES = ("value", "effective", "onset", "abatement", "medication", "performed", "occurrence")
ALWAYS = {"resourceType", "id", "meta"}
MANDATORY = {
    "Observation": {"status", "code"},
    "DiagnosticReport": {"status", "code"},
    "Consent": {"status", "scope", "category"},
}
TOKEN_PATHS: dict[tuple[str, str], tuple[str, ...]] = {
    ("Observation", "combo-code"): ("code", "component.code"),
    ("Encounter", "class"): ("class",),
    ("DocumentReference", "type"): ("type",),
    ("MedicationRequest", "code"): ("medicationCodeableConcept",),
    ("MedicationStatement", "code"): ("medicationCodeableConcept",),
}
DATE_PATHS: dict[tuple[str, str], tuple[str, ...]] = {
    ("Observation", "date"): ("effectiveDateTime", "effectivePeriod", "effectiveInstant"),
    ("DiagnosticReport", "date"): ("effectiveDateTime", "effectivePeriod"),
    ("DiagnosticReport", "issued"): ("issued",),
    ("ImagingStudy", "started"): ("started",),
    ("Condition", "onset-date"): ("onsetDateTime", "onsetPeriod"),
    ("Condition", "recorded-date"): ("recordedDate",),
    ("Encounter", "date"): ("period",),
}


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...]
    authorization: str | None
    status: int

    @property
    def kind(self) -> str:
        return self.path.removeprefix(BASE).strip("/").partition("/")[0]

    def elements(self) -> set[str]:
        return set(dict(self.params).get("_elements", "").split(","))


@dataclass
class Twist:
    """How the server is to misbehave; each is off unless set."""

    page: Callable[[str, Json], Json] | None = None  # (type, searchset) -> searchset
    answer: Response | None = None  # instead of every search
    delay_s: float = 0.0
    refuse_tokens: int = 0  # the next n requests with a token are answered 401
    token: Json | None = None  # instead of the token answer's body


@dataclass
class Server:
    """The running server: what it holds, what it was asked, how it behaves."""

    port: int
    keys: KeySet | None = None
    expires_in: int = 300
    zone: timezone = UTC
    literal: bool = False  # ``_elements`` by the names in the JSON only
    now: Callable[[], float] = time.time
    resources: list[Json] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)
    twist: Twist = field(default_factory=Twist)
    issued: dict[str, tuple[float, set[str]]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    connected: Callable[[], int] = lambda: 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{BASE}"

    @property
    def token_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/oauth/token"

    def settle(self) -> None:
        """Wait until nobody is connected: what a refused pull had sent is read late."""
        until = time.monotonic() + 10
        while self.connected() and time.monotonic() < until:
            time.sleep(0.005)

    def hold(self, *resources: Json) -> None:
        """Replace what the server holds, in this order; forget what was asked."""
        self.settle()
        self.resources = list(resources)
        self.requests.clear()
        self.twist = Twist()

    def searches(self, kind: str) -> list[Asked]:
        return [one for one in self.requests if one.kind == kind]

    # --- the token endpoint -------------------------------------------------------------------

    async def smart(self, request: Request) -> Response:
        self._keep(request, 200)
        return JSONResponse({"token_endpoint": self.token_url, "capabilities": []})

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        problem = self._assertion_problem(form)
        self._keep(request, 400 if problem else 200)
        if problem:
            return JSONResponse({"error": "invalid_client", "why": problem}, status_code=400)
        if self.twist.token is not None:
            return JSONResponse(self.twist.token)
        token = f"token-{len(self.issued)}"
        self.issued[token] = (self.now() + self.expires_in, set(form["scope"].split()))
        return JSONResponse(
            {"access_token": token, "token_type": "bearer", "expires_in": self.expires_in,
             "scope": form["scope"]}
        )  # fmt: skip

    def _assertion_problem(self, form: dict[str, str]) -> str | None:
        assert self.keys is not None
        try:
            token = jwt.decode(form["client_assertion"], self.keys, algorithms=["ES384", "RS384"])
        except (JoseError, ValueError, KeyError):
            return "signature"
        claims = token.claims
        checks = {
            "grant_type": form.get("grant_type") == "client_credentials",
            "assertion_type": form.get("client_assertion_type", "").endswith(":jwt-bearer"),
            "typ": token.header.get("typ") == "JWT" and "kid" in token.header,
            "iss": claims.get("iss") == claims.get("sub") == "careweir-test",
            "aud": claims.get("aud") == self.token_url,
            "exp": 0 < claims.get("exp", 0) - self.now() <= 300,
            "jti": claims.get("jti") not in {None, *self.used},
        }
        self.used.add(claims.get("jti", ""))
        return next((name for name, good in checks.items() if not good), None)

    def _authorised(self, request: Request, kind: str) -> int:
        if self.keys is None:
            return 200
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        until, scopes = self.issued.get(given, (0.0, set()))
        if self.twist.refuse_tokens > 0:
            self.twist.refuse_tokens -= 1
            return 401
        if self.now() >= until:
            return 401
        return 200 if f"system/{kind}.rs" in scopes else 403

    # --- read and search ----------------------------------------------------------------------

    async def read(self, request: Request) -> Response:
        kind, number = request.path_params["kind"], request.path_params["id"]
        status = self._authorised(request, kind)
        found = [r for r in self.resources if (r["resourceType"], r["id"]) == (kind, number)]
        status = status if status != 200 else (200 if found else 404)
        self._keep(request, status)
        if status != 200:
            return _outcome(status)
        return _json(self._subset(found[0], request.query_params.get("_elements")))

    async def search(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if self.twist.delay_s:
            await asyncio.sleep(self.twist.delay_s)
        status = self._authorised(request, kind)
        params = list(request.query_params.multi_items())
        hits: list[Json] = []
        try:
            hits = [one for one in self._of(kind) if self._matches(one, kind, params)]
        except KeyError:
            status = 400 if status == 200 else status
        self._keep(request, status)
        if status != 200:
            return _outcome(status)
        if self.twist.answer is not None:
            return self.twist.answer
        page = self._page(kind, hits, params)
        return _json(self.twist.page(kind, page) if self.twist.page else page)

    def _of(self, kind: str) -> Iterator[Json]:
        return (one for one in self.resources if one["resourceType"] == kind)

    def _page(self, kind: str, hits: list[Json], params: list[tuple[str, str]]) -> Json:
        flat = dict(params)
        count, offset = int(flat.get("_count", "50")), int(flat.get("_offset", "0"))
        links = [{"relation": "self", "url": f"{self.base_url}/{kind}"}]
        if offset + count < len(hits):
            rest = [(n, v) for n, v in params if n != "_offset"]
            query = "&".join(f"{n}={quote(v, safe='')}" for n, v in rest)
            links.append(
                {
                    "relation": "next",
                    "url": f"{self.base_url}/{kind}?{query}&_offset={offset + count}",
                }
            )
        return {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": len(hits),
            "link": links,
            "entry": [
                {"fullUrl": f"{self.base_url}/{kind}/{one['id']}", "search": {"mode": "match"},
                 "resource": self._subset(one, flat.get("_elements"))}
                for one in hits[offset : offset + count]
            ],
        }  # fmt: skip

    def _matches(self, resource: Json, kind: str, params: Iterable[tuple[str, str]]) -> bool:
        return all(self._holds(resource, kind, name, value) for name, value in params)

    def _holds(self, resource: Json, kind: str, name: str, value: str) -> bool:
        if name in ("_elements", "_count", "_offset"):
            return True
        if name == "_id":
            return resource["id"] in value.split(",")
        if name == "patient":
            about = (resource.get("subject") or resource.get("patient") or {}).get("reference", "")
            return about.removeprefix(f"{self.base_url}/") == f"Patient/{value}"
        if name.endswith(":missing"):
            spans = self._spans(resource, DATE_PATHS[kind, name.removesuffix(":missing")])
            return (not spans) == (value == "true")
        if (kind, name) in DATE_PATHS:
            spans = self._spans(resource, DATE_PATHS[kind, name])
            return any(_compare(span, value, self._span(value[2:])) for span in spans)
        if name not in ("code", "combo-code", "class", "type"):
            raise KeyError(name)
        paths = TOKEN_PATHS.get((kind, name), (name,))
        tokens = {f"{s}|{c}" for path in paths for s, c in _codings(resource, path.split("."))}
        return not tokens.isdisjoint(value.split(","))

    def _spans(self, resource: Json, paths: Iterable[str]) -> list[tuple[datetime, datetime]]:
        found = []
        for path in paths:
            value = resource.get(path)
            if isinstance(value, dict):
                start, end = self._span(value.get("start")), self._span(value.get("end"))
                low = start[0] if start else datetime.min.replace(tzinfo=UTC)
                found.append((low, end[1] if end else datetime.max.replace(tzinfo=UTC)))
            elif (span := self._span(value)) is not None:
                found.append(span)
        return found

    def _span(self, text: Any) -> tuple[datetime, datetime] | None:
        """The first and the last moment of a date; None when it is none."""
        try:
            if "T" in text:
                moment = datetime.fromisoformat(text)
                return moment, moment
            parts = [int(part) for part in text.split("-")]
            first = datetime(*[*parts, 1, 1][:3], tzinfo=self.zone)  # type: ignore[arg-type,misc]
        except (TypeError, ValueError):
            return None
        length = {1: 366, 2: 31, 3: 1}[len(parts)]
        return first, first + timedelta(days=length, microseconds=-1)

    def _subset(self, resource: Json, elements: str | None) -> Json:
        """``_elements``: base names, with mandatory elements, and marked as SUBSETTED."""
        if elements is None:
            return resource
        wanted = {*elements.split(","), *ALWAYS, *MANDATORY.get(resource["resourceType"], ())}
        found = {
            name: value
            for name, value in resource.items()
            if name in wanted or (not self.literal and _base_is_in(name, wanted))
        }
        meta = dict(found.get("meta", {}))
        tag = {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
            "code": "SUBSETTED",
        }
        return {**found, "meta": {**meta, "tag": [*meta.get("tag", []), tag]}}

    def _keep(self, request: Request, status: int) -> None:
        params = tuple(request.query_params.multi_items())
        authorization = request.headers.get("authorization")
        self.requests.append(Asked(request.method, request.url.path, params, authorization, status))


def _compare(
    span: tuple[datetime, datetime], value: str, asked: tuple[datetime, datetime] | None
) -> bool:
    assert asked is not None
    tests = {
        "ge": span[1] >= asked[0],
        "gt": span[1] > asked[1],
        "le": span[0] <= asked[1],
        "lt": span[0] < asked[0],
        "eq": asked[0] <= span[0] and span[1] <= asked[1],
    }
    return tests[value[:2]]


def _codings(value: Any, path: list[str]) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for item in value:
            yield from _codings(item, path)
    elif isinstance(value, dict):
        if path:
            yield from _codings(value.get(path[0]), path[1:])
        elif "coding" in value:
            yield from _codings(value["coding"], [])
        else:
            yield value.get("system", ""), value.get("code", "")


def _base_is_in(name: str, wanted: set[str]) -> bool:
    return any(name.startswith(choice) and choice in wanted for choice in CHOICES)


def _json(body: Json) -> Response:
    return Response(json.dumps(body), media_type=FHIR)


def _outcome(status: int) -> Response:
    body = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "processing", "diagnostics": "CANARY-server"}],
    }
    return Response(json.dumps(body), status_code=status, media_type=FHIR)


@contextmanager
def serving(**how: Any) -> Iterator[Server]:
    """A server on a free port of loopback, in a thread of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = Server(listener.getsockname()[1], **how)
        app = Starlette(
            routes=[
                Route(f"{BASE}/.well-known/smart-configuration", server.smart),
                Route("/oauth/token", server.token, methods=["POST"]),
                Route(f"{BASE}/{{kind}}/{{id}}", server.read),
                Route(f"{BASE}/{{kind}}", server.search),
            ]
        )
        config = uvicorn.Config(app, log_config=None, lifespan="off", access_log=False)
        running = uvicorn.Server(config)
        server.connected = lambda: len(running.server_state.connections)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.01)
        try:
            yield server
        finally:
            running.should_exit = True
            thread.join(timeout=10)
