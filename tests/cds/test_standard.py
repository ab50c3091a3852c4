"""What CDS Hooks demands of everything that is sent: its form, its emptiness, its templates."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from careweir.access import Actor
from careweir.api.cds.descriptor import hooked, templates_for
from careweir.wiring.house import load_house
from cds.conftest import BILLING, SERVICE, Ehr
from support.inprocess import gateway, run
from support.paths import ROOT

CARD = {"uuid", "summary", "indicator", "detail", "source", "overrideReasons", "extension"}
READ = re.compile(r"[A-Z][A-Za-z]+/\{\{context\.patientId\}\}")
SEARCH = re.compile(r"[A-Z][A-Za-z]+\?(?P<query>.+)")
TOKEN = re.compile(r"\{\{(?P<name>[^}]*)\}\}")
OFFERED = {
    "context.patientId",
    "context.encounterId",
    "context.userId",
}  # by every hook served here
PLAIN = {"patient", "code", "category", "status", "_count", "_sort"}


def empty_places(value: Any, path: str = "") -> Iterator[str]:
    """Where a JSON value is null, or holds nothing; ``cards`` alone may."""
    if value in (None, "", [], {}) and not path.endswith("/cards"):
        yield path
    if isinstance(value, dict):
        for key, one in value.items():
            yield from empty_places(one, f"{path}/{key}")
    if isinstance(value, list):
        for one in value:
            yield from empty_places(one, path + "[]")


def sent(ehr: Ehr) -> dict[str, Any]:
    """One of each: discovery, an answer of all tools, of one, of none but a score, a refusal."""
    found = {"discovery": ehr.gateway.client.get("/cds-services"), "whole": ehr.call()}
    ehr.gateway.fault("acme-sepsis", "http_500")
    found["degraded"] = ehr.call()
    ehr.gateway.fault("beacon-sepsis", "http_500")
    found["by a score"] = ehr.call()
    found["412"] = ehr.call(ehr.body(prefetch={}))
    found["401"] = ehr.gateway.client.post(SERVICE, json=ehr.body())
    found["404"] = ehr.gateway.client.post("/cds-services/none", json=ehr.body())
    return found


def test_nothing_that_is_sent_is_null_or_empty(ehr: Ehr) -> None:
    for name, answer in sent(ehr).items():
        assert list(empty_places(answer.json())) == [], name
    assert list(empty_places({"a": [{"b": None}], "cards": []})) == ["/a[]/b"]


def test_what_is_sent_is_json_and_says_so(ehr: Ehr) -> None:
    for name, answer in sent(ehr).items():
        kind = "application/json" if answer.status_code == 200 else "application/fhir+json"
        assert answer.headers["content-type"].partition(";")[0] == kind, name
        assert isinstance(answer.json(), dict)


def test_a_card_holds_only_what_is_listed_here(ehr: Ehr) -> None:
    """No suggestion, link or action: whoever adds one must show that its fields are there."""
    for name in ("whole", "degraded", "by a score"):
        answer = sent(ehr)[name].json()
        assert set(answer) == {"cards"}
        for card in answer["cards"]:
            assert set(card) == CARD
            assert set(card["source"]) <= {"label", "topic"}
            assert {"system", "code"} <= set(card["source"]["topic"])
            assert all(key.startswith("org.careweir.") for key in card["extension"])


def test_every_service_that_is_listed_can_be_called_by_its_id(ehr: Ehr) -> None:
    token = {"Authorization": f"Bearer {ehr.gateway.tokens['hospitalist']}"}
    services = ehr.gateway.client.get("/cds-services").json()["services"]
    assert len(services) > 3

    for service in services:
        called = ehr.gateway.client.post(f"/cds-services/{service['id']}", json={}, headers=token)
        assert called.status_code == 400  # found, and told that this is no call
    none = ehr.gateway.client.post("/cds-services/none", json={}, headers=token)
    assert none.status_code == 404


def test_without_services_discovery_is_an_empty_list(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    file = tmp_path / "policies" / "capabilities.yaml"
    rows = yaml.safe_load(file.read_text())
    for row in rows["capabilities"].values():
        row.pop("hook", None)
    file.write_text(yaml.safe_dump(rows))

    async def discover(config: Path) -> Any:
        async with gateway(tmp_path / "data", {}, config=config) as served:
            return await served.client.get("/cds-services")

    found = run(discover(tmp_path / "policies"))
    assert (found.status_code, found.json()) == (200, {"services": []})
    assert run(discover(ROOT / "policies")).json()["services"]


@pytest.mark.parametrize("role", [None, *load_house(None).policies.roles])
def test_every_template_stays_within_the_subset_that_clients_know(role: str | None) -> None:
    house = load_house(None)
    purposes = frozenset({"TREAT", "HPAYMT", "HOPERAT", "PATADMIN"})
    scopes = frozenset({"capability/*.infer"})
    actor = Actor("Practitioner/p", "ehr", role, None, purposes, scopes) if role else None

    for service in hooked(house):
        for key, template in templates_for(house, service, actor).items():
            assert isinstance(key, str)
            assert set(TOKEN.findall(template)) <= OFFERED
            assert "{" not in TOKEN.sub("", template)
            searched = SEARCH.fullmatch(template)
            assert searched or READ.fullmatch(template)
            for part in searched["query"].split("&") if searched else ():
                name, _, value = part.partition("=")
                assert name in PLAIN  # no modifier, no chain, no date, no _include
                assert value


def test_discovery_tells_an_ehr_what_its_own_role_may_send(ehr: Ehr) -> None:
    def prefetch(headers: dict[str, str] | None = None) -> Any:
        answer = ehr.gateway.client.get("/cds-services", headers=headers)
        assert answer.status_code == 200
        return {one["id"]: one.get("prefetch") for one in answer.json()["services"]}

    hospitalist = {"Authorization": f"Bearer {ehr.gateway.tokens['hospitalist']}"}
    public = prefetch()
    theirs = prefetch(ehr.bearer("/cds-services", iss=BILLING))

    assert prefetch(ehr.bearer("/cds-services")) == prefetch(hospitalist)
    assert theirs["coding-suggestion"]
    assert not theirs["sepsis-risk"]
    assert public["sepsis-risk"]
    # The token of a call opens nothing here, and discovery is still open to all.
    assert prefetch(ehr.bearer(iss=BILLING)) == public
    forged = {"Authorization": f"Bearer {ehr.gateway.tokens['hospitalist'][:-8]}AAAAAAAA"}
    assert ehr.gateway.client.get("/cds-services", headers=forged).status_code == 401
