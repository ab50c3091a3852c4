"""What is not for this reader and what is not there are the same answer, to the byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.charts import chest, sepsis
from support.running import Served

NOBODYS = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def asked(gateway: Served, owner: str = "ed-physician") -> dict[str, Any]:
    """An answer of the emergency physician's; the radiologist's has a conflict."""
    made = chest() if owner == "radiologist" else sepsis()
    answer: dict[str, Any] = gateway.ask(made, role=owner).json()
    return answer


def of_inference(answer: dict[str, Any]) -> tuple[str, str]:
    return f"/v1/inferences/{answer['id']}", f"/v1/inferences/inf_{NOBODYS}"


def of_disclosure(answer: dict[str, Any]) -> tuple[str, str]:
    mine = next(row["disclosure"] for row in answer["tools"] if row["disclosure"])
    return f"/v1/disclosures/{mine}", f"/v1/disclosures/dis_{NOBODYS}"


def of_conflict(answer: dict[str, Any]) -> tuple[str, str]:
    return f"/v1/conflicts/{answer['conflicts'][0]['id']}", f"/v1/conflicts/con_{NOBODYS}"


def of_result(answer: dict[str, Any]) -> tuple[str, str]:
    number = answer["id"].replace("_", "-")
    return f"/fhir/RiskAssessment/{number}-f0", f"/fhir/RiskAssessment/inf-{NOBODYS}-f0"


PATHS: dict[str, tuple[Callable[[dict[str, Any]], tuple[str, str]], str, str]] = {
    "an answer": (of_inference, "ed-physician", "radiologist"),
    "an answer, for an auditor": (of_inference, "ed-physician", "auditor"),
    "a manifest": (of_disclosure, "ed-physician", "radiologist"),
    "a conflict": (of_conflict, "radiologist", "coder"),
    "a result": (of_result, "ed-physician", "radiologist"),
}


@pytest.mark.parametrize("case", PATHS)
def test_a_guessed_id_tells_nothing(gateway: Served, case: str) -> None:
    paths, owner, stranger = PATHS[case]
    mine, nobodys = paths(asked(gateway, owner))

    assert gateway.get(mine, role=owner).status_code == 200
    foreign, absent = gateway.get(mine, role=stranger), gateway.get(nobodys, role=stranger)
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content
    ours = {"x-request-id", "date"}
    assert {n: v for n, v in foreign.headers.items() if n not in ours} == {
        n: v for n, v in absent.headers.items() if n not in ours
    }


@pytest.mark.parametrize("step", ["claim", "adjudication", "reopen"])
def test_a_step_on_a_conflict_of_others_tells_nothing(gateway: Served, step: str) -> None:
    mine, nobodys = of_conflict(asked(gateway, "radiologist"))
    headers = {"Authorization": f"Bearer {gateway.tokens['coder']}"}
    body = {"verdict": "neither", "rationale": "guessing"} if step == "adjudication" else {
        "rationale": "guessing"}  # fmt: skip

    foreign = gateway.client.post(f"{mine}/{step}", json=body, headers=headers)
    absent = gateway.client.post(f"{nobodys}/{step}", json=body, headers=headers)

    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content


def test_somebody_elses_idempotency_key_tells_nothing(gateway: Served) -> None:
    question = sepsis()
    first = gateway.ask(question, headers={"Idempotency-Key": "a-key-of-one"})
    other = gateway.ask(question, role="hospitalist", headers={"Idempotency-Key": "a-key-of-one"})

    assert first.status_code == other.status_code == 200
    assert first.json()["id"] != other.json()["id"]


def test_ids_cannot_be_counted_up(gateway: Served) -> None:
    """Eighty random bits: the next id does not follow from the last."""
    first, second = (asked(gateway)["id"] for _ in range(2))

    tails = [one.removeprefix("inf_")[10:] for one in (first, second)]
    assert len(set(tails)) == 2
    assert abs(int(tails[0], 36) - int(tails[1], 36)) > 1_000_000
