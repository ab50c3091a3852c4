"""The way down: fewer tools, a stale answer that says so, a published score, honest failure."""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from careweir.errors import ConfigInvalid
from careweir.ladder import may_hedge
from careweir.question import read_question
from careweir.wiring.house import load_house
from support.charts import sepsis
from support.inprocess import bearer, gateway, run, simulated
from support.paths import ROOT

TOOLS = ("acme-sepsis", "beacon-sepsis")
ONE_HOUR = {"age_max": "PT1H", "purposes": ["TREAT"]}


def site(folder: Path, capability: str = "sepsis-risk", **ladder: Any) -> Path:
    """The shipped policies with another ladder."""
    shutil.copytree(ROOT / "policies", folder)
    file = folder / "capabilities.yaml"
    body = yaml.safe_load(file.read_text())
    body["capabilities"][capability]["ladder"] = ladder
    file.write_text(yaml.safe_dump(body))
    return folder


def step(answer: Any, name: str) -> Any:
    (found,) = [one for one in answer["ladder"] if one["step"] == name]
    return found


class Place:
    """A gateway and its two vendors, each of which can be broken."""

    def __init__(self, up: Any, vendors: dict[str, Any]) -> None:
        self.up = up
        self.vendors = vendors

    async def ask(self, role: str = "ed-physician", **changes: Any) -> Any:
        return (await self.up.ask(sepsis() | changes, role)).json()

    def fails(self, fault: str, *tools: str) -> None:
        for tool in tools or TOOLS:
            self.vendors[tool].state.set({"fault": fault})


async def place(stack: AsyncExitStack, data: Path, config: Path) -> Place:
    vendors = {tool: await stack.enter_async_context(simulated(tool)) for tool in TOOLS}
    urls = {tool: vendor.url for tool, vendor in vendors.items()}
    return Place(await stack.enter_async_context(gateway(data, urls, config=config)), vendors)


def played(tmp_path: Path, config: Path, work: Any) -> Any:
    async def whole() -> Any:
        async with AsyncExitStack() as stack:
            return await work(await place(stack, tmp_path / "data", config))

    return run(whole())


def test_a_previous_answer_to_the_same_inputs_is_shown_as_stale_and_never_compared(
    tmp_path: Path,
) -> None:
    config = site(tmp_path / "site", previous=ONE_HOUR, scores=["news2", "qsofa"])

    async def work(here: Place) -> Any:
        question = sepsis()
        whole = (await here.up.ask(question)).json()
        here.fails("http_500", "acme-sepsis")
        short = (await here.up.ask(question)).json()
        kept = await here.up.client.get(f"/v1/inferences/{short['id']}", headers=bearer())
        path = f"/v1/audit/records?inference={short['id']}"
        records = (await here.up.client.get(path, headers=bearer("auditor"))).json()["records"]
        fhir = await here.up.client.post(
            "/v1/inferences", json=question,
            headers=bearer() | {"accept": "application/fhir+json"},
        )  # fmt: skip
        return whole, short, kept.json(), records, fhir.json()

    whole, short, kept, records, fhir = played(tmp_path, config, work)

    assert "previous" not in whole
    assert "ladder" not in whole
    (row,) = short["previous"]
    assert (row["tool"], row["stale"], row["inference"]) == ("acme-sepsis", True, whole["id"])
    assert 0 <= row["age_s"] < 60
    said = [f for f in whole["findings"] if f["tool"] == "acme-sepsis"]
    assert row["findings"] == [finding | {"stale": True} for finding in said]
    assert not [f for f in short["findings"] if f["tool"] == "acme-sepsis"]
    count = len(short["findings"]) + len(short.get("earlier", ()))
    assert all(at < count for c in short["conflicts"] for at in c["between"])
    (tool,) = [one for one in short["tools"] if one["tool"] == "acme-sepsis"]
    assert tool["status"] == "unavailable"
    assert "stale" in tool["reason"]
    assert short["outcome"] == "degraded"
    assert kept == short
    (answer,) = [one for one in records if one["type"] == "answer"]
    assert answer["body"]["previous"] == [
        {"tool": "acme-sepsis", "inference": whole["id"], "age_s": row["age_s"],
         "findings": len(said)}
    ]  # fmt: skip
    assert answer["body"]["ladder"] == ["fewer", "previous", "score"]
    makers = [
        entry["resource"] for entry in fhir["entry"]
        if entry["resource"]["resourceType"] == "OperationOutcome"
    ]  # fmt: skip
    assert b"stale" in orjson.dumps(makers)


def test_a_previous_answer_is_of_the_same_patient_inputs_role_and_policy_only(
    tmp_path: Path,
) -> None:
    config = site(tmp_path / "site", previous=ONE_HOUR)

    async def work(here: Place) -> None:
        question = sepsis()
        await here.up.ask(question)
        here.fails("http_500")
        text = orjson.dumps(question)
        other_patient = orjson.loads(
            text.replace(question["inputs"]["id"].encode(), b"somebody-else")
        )
        changed = orjson.loads(text)
        for entry in changed["inputs"]["entry"]:
            if "valueQuantity" in entry["resource"]:
                entry["resource"]["valueQuantity"]["value"] += 1
        historic = question | {"context": question["context"] | {"as_of": _as_of(question)}}
        others = (
            (other_patient, "ed-physician"), (changed, "ed-physician"), (historic, "ed-physician"),
            (question, "hospitalist"),
            (question | {"context": {"encounter": "Encounter/e2", "site": "north"}},
             "ed-physician"),
        )  # fmt: skip

        for body, role in others:
            answer = await here.up.ask(body, role)
            assert "previous" not in answer.json(), (role, answer.status_code)
        same = (await here.up.ask(question)).json()
        assert {row["tool"] for row in same["previous"]} == set(TOOLS)

    played(tmp_path, config, work)


def _as_of(question: Any) -> str:
    moments = [
        entry["resource"]["effectiveDateTime"]
        for entry in question["inputs"]["entry"]
        if "effectiveDateTime" in entry["resource"]
    ]
    return str(max(moments))


def test_without_leave_of_the_policy_or_after_its_time_no_previous_answer_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = site(tmp_path / "plain", scores=["news2", "qsofa"])
    payment = site(tmp_path / "payment", previous=ONE_HOUR | {"purposes": ["HPAYMT"]})
    brief = site(tmp_path / "brief", previous=ONE_HOUR)

    async def twice(here: Place) -> Any:
        question = sepsis()
        await here.up.ask(question)
        here.fails("http_500")
        clock = here.up.app.state.services.gateway._previous._clock
        later = clock() + timedelta(minutes=61)
        here.up.app.state.services.gateway._previous._clock = lambda: later
        return (await here.up.ask(question)).json()

    reasons = {
        name: step(played(tmp_path / name, config, twice), "previous")["reason"]
        for name, config in (("plain", plain), ("payment", payment), ("brief", brief))
    }

    assert reasons == {
        "plain": "not_in_policy",
        "payment": "purpose_not_in_policy",
        "brief": "none_kept_for_these_inputs",
    }


def test_the_past_does_not_cover_for_a_tool_that_answered_wrongly(tmp_path: Path) -> None:
    config = site(tmp_path / "site", previous=ONE_HOUR)

    async def work(here: Place) -> None:
        question = sepsis()
        await here.up.ask(question)
        for fault in ("wrong_schema", "wrong_patient", "off"):  # the last: held for a person
            here.fails(fault, "acme-sepsis")
            answer = (await here.up.ask(question)).json()
            assert "previous" not in answer, fault
        assert answer["outcome"] == "degraded"

    played(tmp_path, config, work)


def test_each_step_is_explained_down_to_honest_failure(tmp_path: Path) -> None:
    config = site(tmp_path / "site", previous=ONE_HOUR, scores=["news2", "qsofa"])

    async def work(here: Place) -> Any:
        here.fails("http_503")
        scores = await here.ask()
        bare = sepsis()
        bare["inputs"]["entry"] = [
            entry for entry in bare["inputs"]["entry"]
            if entry["resource"]["resourceType"] == "Patient"
            or entry["resource"].get("code", {}).get("coding", [{}])[0].get("code") == "8867-4"
        ]  # fmt: skip
        nothing = await here.up.ask(bare)
        return scores, nothing

    scores, nothing = played(tmp_path, config, work)

    assert [one["step"] for one in scores["ladder"]] == [
        "all", "fewer", "previous", "score", "failure",
    ]  # fmt: skip
    assert [one["taken"] for one in scores["ladder"]] == [False, False, False, True, False]
    assert step(scores, "all")["missing"] == list(TOOLS)
    assert step(scores, "score")["tools"] == ["news2", "qsofa"]
    assert scores["outcome"] == "degraded"
    rows = [one for one in scores["tools"] if one["mode"] == "fallback"]
    assert {(one["tool"], one["version"]) for one in rows} == {("news2", "2017"), ("qsofa", "2016")}
    stood_in = [finding for finding in scores["findings"] if finding["tool"] in ("news2", "qsofa")]
    assert all(finding["fallback"] for finding in stood_in)
    assert nothing.status_code in (502, 503)
    assert nothing.json()["outcome"] == "failed"
    assert step(nothing.json(), "failure")["taken"]
    missing = step(nothing.json(), "score")["inputs_missing"]
    assert set(missing) == {"news2", "qsofa"}
    assert all(missing.values())


@pytest.mark.parametrize(
    "ladder",
    [
        {"scores": ["news2"]},
        {"scores": ["news2", "qsofa", "lace"]},
        {"scores": ["news2", "qsofa"], "anything": True},
        {"previous": {"age_max": "PT1H"}},
        {"previous": {"age_max": 3600, "purposes": ["TREAT"]}},
        {"previous": {"age_max": "P30D", "purposes": ["TREAT"]}},
        {"previous": {"age_max": "PT1H", "purposes": ["CURIOSITY"]}},
        {"previous": {"age_max": "PT1H", "purposes": ["TREAT"], "patient": "any"}},
    ],
)
def test_a_ladder_that_cannot_be_meant_is_refused_at_the_start(
    tmp_path: Path, ladder: dict[str, Any]
) -> None:
    with pytest.raises(ConfigInvalid, match=r"capabilities\.yaml"):
        load_house(site(tmp_path / "site", **ladder))


def test_a_site_may_take_a_score_away_and_its_order_is_kept(tmp_path: Path) -> None:
    config = site(tmp_path / "site", scores=["qsofa", "news2"])

    async def fallbacks(here: Place) -> Any:
        answer = await here.up.client.get("/v1/capabilities/sepsis-risk", headers=bearer())
        return answer.json()["fallbacks"]

    assert played(tmp_path, config, fallbacks) == ["qsofa", "news2"]
    (config / "tools" / "qsofa.yaml").unlink()
    assert load_house(config).capabilities["sepsis-risk"].ladder.scores == ("qsofa", "news2")


def test_a_second_disclosure_needs_a_purpose_that_policy_names(tmp_path: Path) -> None:
    config = site(tmp_path / "site")
    file = config / "capabilities.yaml"
    body = yaml.safe_load(file.read_text())

    def house(*purposes: str) -> Any:
        body["capabilities"]["sepsis-risk"]["hedging"] = list(purposes)
        file.write_text(yaml.safe_dump(body))
        return load_house(config)

    asked = read_question(orjson.dumps(sepsis()), deadline_ms_default=1000)

    def allowed(found: Any) -> bool:
        return may_hedge(found.capabilities["sepsis-risk"], asked, found.policies.purposes)

    assert not allowed(load_house(None))
    assert allowed(house("TREAT"))
    assert not allowed(house("HPAYMT"))
    with pytest.raises(ConfigInvalid, match="unknown purpose"):
        house("CURIOSITY")
