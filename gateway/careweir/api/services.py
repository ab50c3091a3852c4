"""What the routes stand on: the services of this process, and who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request, Response

from careweir.access import Actor
from careweir.adjudication import Adjudication
from careweir.api.auth import TokenVerifier
from careweir.audit import AuditTrail
from careweir.jobs import Inferences, Pushes
from careweir.ledger import Ledger
from careweir.pipeline import Gateway


@dataclass(slots=True)
class Services:
    """What the routes need; the start of the gateway puts one on ``app.state``."""

    gateway: Gateway
    verifier: TokenVerifier
    trail: AuditTrail
    inferences: Inferences
    pushes: Pushes
    ledger: Ledger
    adjudication: Adjudication
    deadline_ms_default: int


def services_of(request: Request) -> Services:
    """The services behind the routes."""
    services: Services = request.app.state.services
    return services


async def actor_of(request: Request) -> Actor:
    """Who asks, by the token; raises CallerError."""
    return await services_of(request).verifier.of(request)


def json_response(
    body: Any, *, status: int = 200, media_type: str = "application/json"
) -> Response:
    """A body of ours as JSON."""
    return Response(orjson.dumps(body), status_code=status, media_type=media_type)
