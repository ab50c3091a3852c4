"""Everything that a gateway says in FHIR: every capability, in each of the ways it can end."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pkgutil import iter_modules
from typing import Any, Final

import orjson

from careweir.demo import inpatient
from careweir.wiring.house import load_house
from careweir_fhir.bundle import ResultContext, ToolOutcome, result_bundle
from careweir_fhir.model import Conflict, Finding
from support.charts import chest
from support.paths import ROOT
from support.running import Served

Json = dict[str, Any]
AS_OF: Final = "2026-03-02T09:00:00Z"
PATIENT: Final = {"reference": "Patient/p1"}
TEXT: Final = (
    "Mother had heart failure. Shortness of breath and cough since Sunday. Denies fever. "
    "Small left pleural effusion. No pneumothorax. Assessment: pneumonia is likely."
)
ASKED_BY: Final = {  # capability -> role and purpose
    "sepsis-risk": ("hospitalist", "TREAT"),
    "chest-xray-findings": ("radiologist", "TREAT"),
    **inpatient.ASKED_BY,
}
CONFLICTS: Final = sorted(
    one.name for one in iter_modules([str(ROOT / "gateway/careweir/conflicts/rules")])
)


def _vital(loinc: str, value: float, unit: str) -> Json:
    quantity = {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}
    return {"resourceType": "Observation", "id": f"o{loinc}", "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
            "subject": PATIENT, "effectiveDateTime": "2026-03-02T08:00:00Z",
            "valueQuantity": quantity}  # fmt: skip


def _stay(name: str, start: str, end: str | None) -> Json:
    act = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    return {"resourceType": "Encounter", "id": name, "status": "finished" if end else "in-progress",
            "class": {"system": act, "code": "IMP"}, "subject": PATIENT,
            "period": {"start": start} | ({"end": end} if end else {})}  # fmt: skip


def _appointment(status: str, start: str) -> Json:
    return {"resourceType": "Appointment", "id": f"a{start[:10]}", "status": status, "start": start,
            "created": "2025-09-01T09:00:00Z",
            "participant": [{"actor": PATIENT, "status": "accepted"}]}  # fmt: skip


def _coded(kind: str, name: str, code: str, **more: Any) -> Json:
    coding = {"system": "http://snomed.info/sct", "code": code}
    return {"resourceType": kind, "id": name, "subject": PATIENT, "code": {"coding": [coding]},
            **more}  # fmt: skip


def chart() -> Json:
    """One patient of whom every shipped tool can say something."""
    clinical = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    active = {"clinicalStatus": {"coding": [{"system": clinical, "code": "active"}]}}
    data = base64.b64encode(TEXT.encode()).decode()
    vitals = (
              ("8867-4", 118, "/min"), ("9279-1", 26, "/min"), ("59408-5", 90, "%"),
              ("8310-5", 38.4, "Cel"), ("718-7", 10.2, "g/dL"), ("2160-0", 1.6, "mg/dL"),
              ("8480-6", 96, "mm[Hg]"), ("6690-2", 15.2, "10*3/uL"), ("2524-7", 3.1, "mmol/L"),
    )  # fmt: skip
    resources: list[Json] = [
        {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1951-03-02"},
        *(_vital(*one) for one in vitals),
        _stay("e1", "2025-11-01T08:00:00Z", "2025-11-04T08:00:00Z"),
        _stay("e2", "2026-02-27T08:00:00Z", None),
        {"resourceType": "DocumentReference", "id": "n1", "status": "current",
         "type": {"coding": [{"system": "http://loinc.org", "code": "34111-5"}]},
         "subject": PATIENT, "date": "2026-03-02T08:00:00Z",
         "content": [{"attachment": {"contentType": "text/plain", "data": data}}]},
        {"resourceType": "DiagnosticReport", "id": "r1", "status": "final",
         "code": {"coding": [{"system": "http://loinc.org", "code": "36643-5"}]},
         "subject": PATIENT, "effectiveDateTime": "2026-03-02T08:00:00Z", "conclusion": TEXT},
        _coded("ServiceRequest", "s1", "609588000", status="active", intent="order"),
        _coded("Condition", "c1", "267036007", **active),
        _coded("Condition", "c2", "29857009", **active),
        _appointment("booked", "2026-03-20T09:00:00Z"),
        _appointment("noshow", "2025-12-01T09:00:00Z"),
        _appointment("fulfilled", "2025-10-01T09:00:00Z"),
    ]  # fmt: skip
    return {"resourceType": "Bundle", "type": "collection",
            "entry": [{"resource": resource} for resource in resources]}  # fmt: skip


def question(capability: str, **changes: Any) -> Json:
    """What is asked about this patient."""
    return {
        "capability": capability, "subject": "Patient/p1", "purpose": ASKED_BY[capability][1],
        "inputs": chart(), "context": {"as_of": AS_OF}, "deadline_ms": 5000,
    } | changes  # fmt: skip


class Emitting:
    """Asks one running gateway for everything; ``resources`` are what it said, by name."""

    def __init__(self, gateway: Served) -> None:
        self.gateway = gateway
        self.tools = load_house(None).tools
        self.resources: dict[str, Json] = {}
        self.outcomes: dict[str, str] = {}

    def all(self) -> dict[str, Json]:
        """Every capability in each of its ways, then what can be searched, read and refused."""
        for capability in ASKED_BY:
            self._complete(capability)
            self._degraded(capability)
            self._refused(capability)
        self._settled()
        self._served()
        self._exported("auditor")
        self._exported("hospitalist")
        return self.resources

    def statement(self) -> list[str]:
        """The capabilities that the gateway says it has."""
        found = self.gateway.get("/v1/capabilities", role="hospitalist").json()["capabilities"]
        return [one["name"] for one in found]

    def kinds(self, name: str) -> set[str]:
        """The types in one of the resources."""
        resource = self.resources[name]
        entries = resource.get("entry", []) if resource["resourceType"] == "Bundle" else []
        return {one["resource"]["resourceType"] for one in entries} or {resource["resourceType"]}

    def informs(self, capability: str) -> bool:
        """Whether a complete answer says no more than that an input was not there."""
        outcomes = [one["resource"] for one in self.resources[f"{capability}: complete"]["entry"]
                    if one["resource"]["resourceType"] == "OperationOutcome"]  # fmt: skip
        return all(i["severity"] == "information" for one in outcomes for i in one["issue"])

    def _ask(self, name: str, capability: str, *, role: str | None = None, **changes: Any) -> Json:
        rows: dict[str, Json] = {
            "capability": {"valueCode": capability},
            "subject": {"valueReference": {"reference": "Patient/p1"}},
            "purpose": {"valueCode": ASKED_BY[capability][1]},
            "inputs": {"resource": chart()},
            "as-of": {"valueDateTime": AS_OF},
        } | changes
        body = {"resourceType": "Parameters",
                "parameter": [{"name": one, **row} for one, row in rows.items()]}  # fmt: skip
        token = self.gateway.tokens[role or ASKED_BY[capability][0]]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
        sent = orjson.dumps(body)
        answer = self.gateway.client.post("/fhir/$infer", content=sent, headers=headers)
        found: Json = answer.json()
        self.resources[f"{capability}: {name}"] = found
        return found

    def _complete(self, capability: str) -> None:
        self._ask("complete", capability)
        role = ASKED_BY[capability][0]
        told = self.gateway.ask(question(capability), role=role).json()
        self.outcomes[capability] = told["outcome"]
        for number, bundle in enumerate(conflicting(told)):
            self.resources[f"{capability}: conflicting {number}"] = bundle

    def _degraded(self, capability: str) -> None:
        live = [name for name, tool in self.tools.items() if capability in tool.capabilities
                and tool.mode == "live" and tool.lifecycle != "draft"]  # fmt: skip
        self.gateway.fault(live[0], "http_500")
        self._ask("degraded", capability)
        self.gateway.fault(live[0], "garbage")
        self._ask("degraded by an answer that cannot be read", capability)
        for name in live:
            self.gateway.fault(name, "http_500")
        self._ask("failed", capability)
        for name in live:
            self.gateway.fault(name, "off")

    def _refused(self, capability: str) -> None:
        self._ask("refused to a role", capability, role="auditor")
        self._ask("refused for a purpose", capability, purpose={"valueCode": "HMARKT"})
        other = {"valueReference": {"reference": "Patient/other"}}
        self._ask("refused for another patient", capability, subject=other)
        empty = {"resource": {"resourceType": "Bundle", "type": "collection"}}
        self._ask("refused without a chart", capability, inputs=empty)

    def _settled(self) -> None:
        """A conflict that the tools really had, before and after a person settled it."""
        headers = {"Accept": "application/fhir+json"}
        asked = self.gateway.ask(chest(), role="radiologist", headers=headers)
        self.resources["a conflict that was found"] = asked.json()
        token = {"Authorization": f"Bearer {self.gateway.tokens['radiologist']}"}
        name = self.gateway.get("/v1/conflicts", role="radiologist").json()["conflicts"][0]["id"]
        path = f"/v1/conflicts/{name}"
        given = {"verdict": "not_a_conflict", "rationale": "Seen on the film."}
        for moment in ("open", "settled"):
            found = self.gateway.client.get(path, headers=token | headers)
            assert found.status_code == 200, found.text
            self.resources[f"a conflict that is {moment}"] = found.json()
            self.gateway.client.post(f"{path}/adjudication", json=given, headers=token)

    def _exported(self, role: str) -> None:
        """Every line of an export."""
        headers = {"Authorization": f"Bearer {self.gateway.tokens[role]}",
                   "Prefer": "respond-async"}  # fmt: skip
        begun = self.gateway.client.get("/fhir/$export", headers=headers)
        assert begun.status_code == 202, begun.text
        manifest = self.gateway.get(begun.headers["content-location"], role=role).json()
        for output in manifest["output"]:
            lines = self.gateway.get(output["url"], role=role).text.splitlines()
            for number, line in enumerate(lines):
                name = f"exported to {role}: {output['type']} {number}"
                self.resources[name] = orjson.loads(line)

    def _search(self, kind: str, more: str, role: str) -> None:
        found: Json = self.gateway.get(f"/fhir/{kind}{more}", role=role).json()
        self.resources[f"{kind}{more} of {role}"] = found

    def _served(self) -> None:
        statement = self.gateway.get("/fhir/metadata").json()
        roles = {role for role, _ in ASKED_BY.values()}
        for row in statement["rest"][0]["resource"]:
            kind = row["type"]
            for value in row.get("searchInclude", []):
                self._search(kind, f"?_count=10&_include={value}", "hospitalist")
            first = "auditor" if kind == "AuditEvent" else "hospitalist"
            self._search(kind, "?_summary=count", first)
            self._search(kind, "?unknown=1", first)
            for role in {first} if first == "auditor" else sorted(roles):
                self._search(kind, "?_count=30", role)
            self.resources[f"no {kind}"] = self.gateway.get(f"/fhir/{kind}/none").json()
        for path in ("metadata", "OperationDefinition/infer", "Nothing", "AuditEvent?date=x"):
            self.resources[path] = self.gateway.get(f"/fhir/{path}").json()
        self.resources["401"] = self.gateway.client.get("/fhir/AuditEvent").json()
        self.resources["405"] = self.gateway.client.delete("/fhir/AuditEvent").json()


def conflicting(told: Json) -> Iterator[Json]:
    """The same answer with a conflict of each type stated between two of its tools.

    The simulators do not contradict each other about every question; what a contradiction becomes
    in FHIR is to be right for every one.
    """
    findings = [Finding.model_validate(one) for one in told["findings"]]
    pairs = [(i, j) for i, j in combinations(range(len(findings)), 2)
             if findings[i].tool != findings[j].tool]  # fmt: skip
    context = ResultContext(
        inference="inf_01JQ8Z2M7T", capability=told["capability"], subject=told["subject"],
        encounter=None, study=None, as_of=AS_OF, recorded=AS_OF,
        policy_revision=told["policy"]["revision"],
    )  # fmt: skip
    tools = [ToolOutcome(one["tool"], "Vendor", one["tool"], one["version"], one["status"],
                         one["reason"], one["mode"]) for one in told["tools"]]  # fmt: skip
    for number, kind in enumerate(CONFLICTS):
        if pairs:
            conflict = Conflict(type=kind, between=pairs[number % len(pairs)], severity="high",
                                reason="They differ.", rule=f"{kind}/rule")  # fmt: skip
            yield result_bundle(replace(context, inference=f"inf_01JQ8Z2M{number:02d}"),
                                findings, [conflict], tools)  # fmt: skip


def single(resources: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """Every resource, and those within Bundles one by one; the same one once."""
    seen: set[bytes] = set()
    for name, resource in resources.items():
        entries = resource.get("entry", []) if resource["resourceType"] == "Bundle" else []
        for one in [resource, *(entry["resource"] for entry in entries)]:
            body = orjson.dumps(one)
            if body not in seen:
                seen.add(body)
                yield name, one
