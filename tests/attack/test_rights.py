"""A token that holds, but says what policy does not know, gets nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt

from careweir.demo import patients
from support.inprocess import KEY, InProcess, gateway, run


def bearer(**changes: Any) -> dict[str, str]:
    now = int(datetime.now(UTC).timestamp())
    claims = {
        "iss": "urn:issuer", "aud": "careweir", "sub": "Practitioner/7", "client_id": "ehr",
        "iat": now, "exp": now + 300, "scope": "capability/*.infer", "role": "ed-physician",
        "purposes": ["TREAT"],
    } | changes  # fmt: skip
    token = jwt.encode({"alg": "ES256", "kid": "k1"}, claims, KEY, algorithms=["ES256"])
    return {"Authorization": f"Bearer {token}"}


def question() -> dict[str, Any]:
    chart = patients.septic(datetime.now(UTC))
    inputs = {name: chart[name] for name in ("resourceType", "type", "entry")}
    subject = f"Patient/{chart['id']}"
    return {"capability": "sepsis-risk", "subject": subject, "purpose": "TREAT", "inputs": inputs}


def asked(data: Path, *headers: dict[str, str]) -> list[Any]:
    """Preview the question with each header: it authorises as an inference does, sends nothing."""

    async def work() -> list[Any]:
        found: InProcess
        async with gateway(data, {}) as found:
            return [await found.client.post("/v1/disclosures/preview", json=question(), headers=one)
                    for one in headers]  # fmt: skip

    answers: list[Any] = run(work(), seconds=60)
    return answers


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "a role that nobody knows": ({"role": "emperor"}, "no grant"),
    "a purpose that nobody knows": ({"purposes": ["WORLD"]}, "token purpose"),
    "no purpose": ({"purposes": []}, "token purpose"),
    "a site that is nowhere": ({"site": "atlantis"}, "token site"),
    "no scope": ({"scope": ""}, "scope"),
    "a scope of another capability": ({"scope": "capability/no-show-risk.infer"}, "scope"),
    "a scope in capitals": ({"scope": "CAPABILITY/*.INFER"}, "scope"),
    "a scope on every resource": ({"scope": "system/*.cruds"}, "scope"),
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    headers = {name: bearer(**changes) for name, (changes, _) in CASES.items()}
    headers |= {"permit": bearer(), "permit at a site": bearer(site="north")}
    found = asked(tmp_path_factory.mktemp("rights") / "data", *headers.values())
    return dict(zip(headers, found, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_what_policy_does_not_know_is_not_allowed(answers: dict[str, Any], case: str) -> None:
    answer = answers[case]

    assert answer.status_code == 403
    assert any(CASES[case][1] in rule for rule in answer.json()["because"])


@pytest.mark.parametrize("case", ["permit", "permit at a site"])
def test_the_same_question_with_known_rights_is_allowed(answers: dict[str, Any], case: str) -> None:
    assert answers[case].status_code == 200
    assert answers[case].json()["disclosures"]
