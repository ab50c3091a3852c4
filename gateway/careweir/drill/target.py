"""A running gateway and the vendors behind it, as a drill reaches them: over HTTP only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from careweir.errors import ConfigInvalid
from careweir_kit.strict_json import JsonRefused, decode

HEAL_S = 60.0
LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Target:
    """``demo.json`` of a gateway that is rehearsed on (CONTRACT §2)."""

    base_url: str
    tokens: Mapping[str, str]
    controls: Mapping[str, str]  # tool -> control URL of its simulator
    database_url: str | None


def read_target(text: bytes) -> Target:
    """Read a ``demo.json``; raises ConfigInvalid."""
    try:
        told = decode(text)
        controls = {tool: str(one["control"]) for tool, one in told["simulators"].items()}
        tokens = {str(role): str(token) for role, token in told["tokens"].items()}
        return Target(str(told["base_url"]), tokens, controls, told.get("database_url"))
    except (JsonRefused, KeyError, TypeError, AttributeError):
        raise ConfigInvalid("the file does not say how to reach a gateway") from None


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer as its caller saw it."""

    status: int
    body: dict[str, Any]
    seconds: float

    @property
    def statuses(self) -> dict[str, str]:
        """Tool to status; empty for a refusal."""
        return {row["tool"]: row["status"] for row in self.body.get("tools", [])}

    def findings_of(self, tool: str) -> int:
        """How many findings of this tool were delivered."""
        return sum(finding["tool"] == tool for finding in self.body.get("findings", []))


class Link:
    """The requests that a drill makes."""

    def __init__(self, target: Target, client: httpx.AsyncClient) -> None:
        self.target = target
        self._client = client

    async def ask(self, question: dict[str, Any], role: str) -> Seen:
        """Ask as a role and time it."""
        began = time.perf_counter()
        answer = await self._client.post("/v1/inferences", json=question, headers=self._as(role))
        return Seen(answer.status_code, answer.json(), time.perf_counter() - began)

    async def rows(self) -> dict[str, dict[str, Any]]:
        """``GET /v1/tools`` by tool."""
        answer = await self._client.get("/v1/tools", headers=self._as("operator"))
        return {row["tool"]: row for row in answer.json()["tools"]}

    async def nameless(self) -> list[str]:
        """The tools whose answers need not name the patient."""
        rows = await self.rows()
        return [tool for tool, row in rows.items() if row.get("subject_echo") == "none"]

    async def capabilities(self) -> list[dict[str, Any]]:
        """``GET /v1/capabilities``."""
        answer = await self._client.get("/v1/capabilities", headers=self._as("operator"))
        listed: list[dict[str, Any]] = answer.json()["capabilities"]
        return listed

    async def ready(self) -> bool:
        """``GET /readyz``."""
        return (await self._client.get("/readyz")).status_code == 200

    async def intents(self, inference: str) -> int:
        """How many disclosures of one question are on the record."""
        answer = await self._client.get(
            "/v1/audit/records", params={"inference": inference}, headers=self._as("auditor")
        )
        return sum(record["type"] == "intent" for record in answer.json()["records"])

    async def calls(self) -> int:
        """How often all vendors together were sent something; asking for a job's result is not."""
        views = [(await self._client.get(url)).json() for url in self.target.controls.values()]
        return sum(int(view["calls"]) - int(view.get("reads", 0)) for view in views)

    async def fault(self, tool: str, fault: str) -> None:
        """Give one vendor a fault, or ``off``."""
        answer = await self._client.post(self.target.controls[tool], json={"fault": fault})
        answer.raise_for_status()

    async def heal(self, question: dict[str, Any], role: str) -> bool:
        """End all faults and holds, and wait until every breaker is closed; False: not in time."""
        for tool in self.target.controls:
            await self.fault(tool, "off")
        end = time.perf_counter() + HEAL_S
        while time.perf_counter() < end:
            rows = await self.rows()
            for tool, row in rows.items():
                if row["held"]:
                    await self._release(tool)
            troubled = [row for row in rows.values() if row["breaker"] in ("open", "half_open")]
            if not troubled and await self.ready():
                return True
            if any(row["breaker"] == "half_open" for row in troubled):
                await self.ask(question, role)  # the probe
            await asyncio.sleep(LOOK_S)
        return False

    async def _release(self, tool: str) -> None:
        path = f"/v1/tools/{tool}/release"
        await self._client.post(path, json={"reason": "drill"}, headers=self._as("operator"))

    def _as(self, role: str) -> dict[str, str]:
        token = self.target.tokens.get(role)
        if token is None:
            raise ConfigInvalid(f"there is no token for the role {role}")
        return {"Authorization": f"Bearer {token}"}
