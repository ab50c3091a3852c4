"""The guided tour: the main job over several synthetic patients, with things going wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import orjson

from careweir.demo import patients
from careweir.demo.running import Running
from careweir.question import rfc3339

DEADLINE_MS = 1500


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of the tour: what was asked, what came back, and whether that is as promised."""

    title: str
    story: str
    role: str
    status: int
    body: dict[str, Any]
    received: dict[str, Any]  # tool -> the body that its simulator really got
    manifests: dict[str, Any]  # tool -> field manifest
    as_promised: bool
    settled: dict[str, Any] | None = None  # a conflict of the answer, after a person settled it


@dataclass(frozen=True, slots=True)
class Scene:
    """What to do at one stop."""

    title: str
    story: str
    capability: str
    chart: Callable[[datetime], dict[str, Any]]
    role: str = "ed-physician"
    faults: tuple[tuple[str, dict[str, Any]], ...] = ()
    promise: Callable[[int, dict[str, Any]], bool] = lambda status, _body: status == 200
    settles: str | None = None  # the rationale with which the asker settles one of the conflicts


def _statuses(body: dict[str, Any]) -> dict[str, str]:
    return {row["tool"]: row["status"] for row in body.get("tools", [])}


def _degraded(status: int, body: dict[str, Any]) -> bool:
    fallbacks = [finding for finding in body.get("findings", []) if finding["fallback"]]
    return status == 200 and body["outcome"] == "degraded" and bool(fallbacks)


SCENES = (
    Scene(
        "A complete answer",
        "An emergency physician asks for the sepsis risk of a very sick patient.",
        "sepsis-risk",
        patients.septic,
        promise=lambda status, body: status == 200 and body["outcome"] == "complete",
    ),
    Scene(
        "Two tools disagree about a chest X-ray",
        "The report is easy to misread: a negation that covers two words, two sides in a sentence.",
        "chest-xray-findings",
        patients.chest_x_ray,
        role="radiologist",
        promise=lambda status, body: status == 200 and bool(body["conflicts"]),
        settles="The report denies a pneumothorax; the negation covers both words.",
    ),
    Scene(
        "One vendor down, one slow: a published score stands in",
        "acme-sepsis answers 503, beacon-sepsis hangs until the deadline. NEWS2 is computed here "
        "and says that it is a fallback.",
        "sepsis-risk",
        patients.septic,
        faults=(("acme-sepsis", {"fault": "http_503"}), ("beacon-sepsis", {"fault": "hang"})),
        promise=_degraded,
    ),
    Scene(
        "An answer about somebody else",
        "beacon-sepsis answers for another patient. It is quarantined, never delivered.",
        "sepsis-risk",
        patients.ambiguous,
        faults=(("beacon-sepsis", {"fault": "wrong_patient"}),),
        promise=lambda status, body: (
            _degraded(status, body) and _statuses(body)["beacon-sepsis"] == "wrong_patient"
        ),
    ),
    Scene(
        "A refusal",
        "A scheduler asks for a sepsis risk. No vendor hears of it.",
        "sepsis-risk",
        patients.septic,
        role="scheduler",
        promise=lambda status, body: status == 403 and body["code"] == "access_denied",
    ),
)


async def tour(up: Running, now: datetime) -> AsyncIterator[Stop]:
    """Play every scene over real HTTP; one Stop each."""
    async with httpx.AsyncClient(base_url=up.base_url, trust_env=False, timeout=30) as client:
        for scene in SCENES:
            chart = scene.chart(now)
            question = {
                "capability": scene.capability,
                "subject": f"Patient/{chart['id']}",
                "purpose": "TREAT",
                "inputs": chart,
                "context": {"encounter": "Encounter/demo-1", "site": "north"},
                "deadline_ms": DEADLINE_MS,
            }
            yield await play(client, up, scene, question)


async def play(
    client: httpx.AsyncClient, up: Running, scene: Scene, question: dict[str, Any]
) -> Stop:
    """Set the faults, ask, look at what the vendors received, clear the faults."""
    calls = await _calls(client, up)
    for tool, fault in scene.faults:
        await client.post(up.simulators[tool].control, json=fault)
    response = await client.post(
        "/v1/inferences",
        content=orjson.dumps(question),
        headers={"Authorization": f"Bearer {up.tokens[scene.role]}"},
    )
    body = response.json()
    received = await _received(client, up, calls)
    for tool, _ in scene.faults:
        await client.post(up.simulators[tool].control, json={"fault": "off"})
    settled = await _settle(client, up, scene, body) if scene.settles else None
    return Stop(
        title=scene.title,
        story=scene.story,
        role=scene.role,
        status=response.status_code,
        body=body,
        received=received,
        manifests=await _manifests(client, up, body),
        as_promised=scene.promise(response.status_code, body)
        and (scene.settles is None or _is_settled(settled)),
        settled=settled,
    )


async def _settle(
    client: httpx.AsyncClient, up: Running, scene: Scene, body: dict[str, Any]
) -> dict[str, Any] | None:
    """Look at the contradiction that came up and settle it, as the person who asked."""
    headers = {"Authorization": f"Bearer {up.tokens[scene.role]}"}
    named = [c["id"] for c in body.get("conflicts", []) if c["type"] == "assertion_contradiction"]
    if not named:
        return None
    path = f"/v1/conflicts/{named[0]}"
    dispute = (await client.get(path, headers=headers)).json()
    denied = [at for at, side in enumerate(dispute["findings"])
              if side["finding"]["polarity"] == "absent"]  # fmt: skip
    verdict = {"verdict": "prefer", "preferred_finding": denied[0], "rationale": scene.settles}
    response = await client.post(f"{path}/adjudication", json=verdict, headers=headers)
    settled: dict[str, Any] = response.json()
    overruled = [t for t in settled["tools"]
                 if t != settled["findings"][denied[0]]["finding"]["tool"]]  # fmt: skip
    card = (await client.get(f"/v1/tools/{overruled[0]}", headers=headers)).json()["score_card"]
    return settled | {"overruled": overruled[0], "score_card": card}


def _is_settled(dispute: dict[str, Any] | None) -> bool:
    return dispute is not None and dispute["state"] == "settled"


async def ask_about(
    up: Running, bundle: bytes, *, subject: str, as_of: datetime | None
) -> AsyncIterator[Stop]:
    """The caller's own chart, asked about with every capability that an ED physician may use."""
    async with httpx.AsyncClient(base_url=up.base_url, trust_env=False, timeout=90) as client:
        for capability in ("sepsis-risk", "chest-xray-findings"):
            calls = await _calls(client, up)
            moment = f'"as_of":"{rfc3339(as_of)}"' if as_of else ""
            head = (
                f'{{"capability":"{capability}","subject":"{subject}","purpose":"TREAT",'
                f'"context":{{{moment}}},"inputs":'
            )
            response = await client.post(
                "/v1/inferences",
                content=head.encode() + bundle + b"}",
                headers={"Authorization": f"Bearer {up.tokens['ed-physician']}"},
            )
            body = response.json()
            yield Stop(
                title=capability,
                story="",
                role="ed-physician",
                status=response.status_code,
                body=body,
                received=await _received(client, up, calls),
                manifests=await _manifests(client, up, body),
                as_promised="outcome" in body or 400 <= response.status_code < 500,
            )


async def _calls(client: httpx.AsyncClient, up: Running) -> dict[str, int]:
    return {
        tool: (await client.get(one.control)).json()["calls"] for tool, one in up.simulators.items()
    }


async def _received(
    client: httpx.AsyncClient, up: Running, before: dict[str, int]
) -> dict[str, Any]:
    """The newest body of each simulator that was called since ``before``."""
    received = {}
    for tool, one in up.simulators.items():
        seen = (await client.get(one.control)).json()
        if seen["calls"] > before[tool] and seen["received"]:
            received[tool] = seen["received"][-1]
    return received


async def _manifests(
    client: httpx.AsyncClient, up: Running, body: dict[str, Any]
) -> dict[str, Any]:
    """The field manifests of an answer, read as the auditor."""
    headers = {"Authorization": f"Bearer {up.tokens['auditor']}"}
    manifests = {}
    for row in body.get("tools", []):
        if row["disclosure"]:
            got = await client.get(f"/v1/disclosures/{row['disclosure']}", headers=headers)
            manifests[row["tool"]] = got.json()
    return manifests
