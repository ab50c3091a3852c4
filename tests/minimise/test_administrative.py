"""``no-show-risk`` gets no identifier and nothing clinical: of any chart, on the wire."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from careweir.access import PolicySet
from careweir.errors import PolicyInvalid
from careweir.minimise import Minimised, minimise, read_chart
from careweir_kit.adapter import Ask
from careweir_kit.registry import discover_adapters, load_tools
from careweir_kit.tool import Tool
from minimise.charts import (
    AS_OF,
    ROOT,
    SYNTHEA,
    bundle,
    leaves,
    patient,
    policies,
    reasons,
    resources,
)
from minimise.test_real_charts import CHARTS, SENSITIVE, identifiers, loaded

ADAPTERS = discover_adapters()
TOOLS = {
    name: tool
    for name, tool in load_tools(ROOT / "policies" / "tools", ADAPTERS).items()
    if "no-show-risk" in tool.capabilities
}
SECRET = "Quillfeather saw Dr Ashgrove about chemotherapy"
Json = dict[str, Any]


def appointment(status: str = "booked", start: str = "2026-04-01T09:00:00Z", **extra: Any) -> Json:
    """An appointment of p1 in which every field tells something."""
    return {
        "resourceType": "Appointment",
        "id": f"appt-{start}",
        "identifier": [{"system": "urn:hospital:appt", "value": "APPT-771204"}],
        "status": status,
        "serviceType": [{"coding": [{"system": "urn:x", "code": "onc"}], "text": SECRET}],
        "reasonCode": [{"coding": [{"system": "http://snomed.info/sct", "code": "254637007"}]}],
        "description": SECRET,
        "comment": SECRET,
        "created": "2026-02-01T10:00:00Z",
        "start": start,
        "end": "2026-04-01T09:30:00Z",
        "participant": [
            {"actor": {"reference": "Patient/p1", "display": SECRET}, "status": "accepted"},
            {"actor": {"reference": "Practitioner/d1"}, "status": "accepted"},
        ],
        **extra,
    }


def history() -> list[Json]:
    """One appointment ahead, one missed, two kept."""
    past = ["2025-12-01T09:00:00Z", "2025-11-01T09:00:00Z", "2025-10-01T09:00:00Z"]
    statuses = ["noshow", "fulfilled", "fulfilled"]
    created = "2025-09-01T09:00:00Z"
    pairs = zip(statuses, past, strict=True)
    return [appointment(), *(appointment(one, at, created=created) for one, at in pairs)]


def ask(body: bytes, of: Tool, *, role: str = "scheduler", purpose: str = "PATADMIN") -> Minimised:
    return minimise(
        read_chart(body, subject=None),
        of,
        policies().decide(role=role, purpose=purpose, capability="no-show-risk", site=None),
        subject_pseudonym="px",
        pseudonyms=lambda kind, real: f"{kind}-x",
        as_of=AS_OF,
        study=None,
        purpose=purpose,
        role=role,
        site=None,
    )


def wire(found: Minimised, of: Tool) -> str:
    """What the vendor would receive."""
    assert found.payload is not None
    adapter = ADAPTERS[of.adapter].http
    assert adapter is not None
    asked = Ask("px", "att-1", found.payload, AS_OF.isoformat())
    request = adapter.build_request(of, asked)
    return f"{request.path} {request.headers} {bytes(request.body or b'').decode()}"


def with_history(path: Path) -> tuple[bytes, str]:
    """A foreign chart with appointments of its patient; the charts themselves have none."""
    chart = json.loads(path.read_bytes())
    person = next(
        one["resource"] for one in chart["entry"] if one["resource"]["resourceType"] == "Patient"
    )
    for one in history():
        one["participant"][0]["actor"]["reference"] = f"Patient/{person['id']}"
        one["participant"].append({"actor": {"reference": chart["entry"][0]["fullUrl"]}})
        one["description"] = person["name"][0]["family"]
        chart["entry"].append({"fullUrl": f"urn:uuid:{one['id']}", "resource": one})
    return json.dumps(chart).encode(), person["id"]


def test_there_are_two_tools_that_can_be_compared() -> None:
    assert len(TOOLS) >= 2


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_the_days_before_and_the_counts_do_leave(name: str) -> None:
    found = ask(bundle(patient(), *history()), TOOLS[name])

    sent = resources(found, "Appointment")
    assert [one["status"] for one in sent] == ["booked", "noshow", "fulfilled", "fulfilled"]
    assert sent[0]["extension"] == [{"url": "urn:careweir:lead-days", "valueInteger": 58}]
    assert all(one.keys() == {"resourceType", "id", "meta", "status", "extension"} for one in sent)
    body = json.loads(wire(found, TOOLS[name]).partition("} ")[2])
    values = dict(
        zip(
            [one["name"] for one in TOOLS[name].request["tensors"][0]["elements"]],
            body["inputs"][0]["data"],
            strict=True,
        )
    )
    assert (values["lead_days"], values["missed"], values["kept"]) == (58, 1, 2)
    assert values.get("age_band", 60) == 60


def test_the_manifest_says_that_dates_left_as_days() -> None:
    found = ask(bundle(patient(), *history()), TOOLS["tally-noshow"])

    forms = {(row.path, row.transform) for row in found.manifest.transformed}
    assert {("Appointment.start", "lead_days"), ("Patient.birthDate", "age_band")} <= forms
    assert "Appointment.start" not in found.manifest.sent
    assert reasons(found)["Appointment.description"] == {"not_needed_by_tool"}


@pytest.mark.parametrize("name", sorted(TOOLS))
@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.stem.split("_")[0])
@pytest.mark.skipif(not CHARTS, reason=f"needs {SYNTHEA.name} beside the repository")
def test_no_identifier_and_nothing_clinical_of_any_chart_is_on_the_wire(
    path: Path, name: str
) -> None:
    body, person = with_history(path)
    found = ask(body, TOOLS[name])
    text = wire(found, TOOLS[name]) + "\n".join(leaves(found.payload))

    secrets = identifiers(path) | {person, "APPT-771204", "2026-04-01", "2026-02-01"}
    inside = body.decode()
    assert all(json.dumps(one)[1:-1] in inside for one in secrets)  # they are there to be leaked
    assert {one for one in secrets if one.lower() in text.lower() and not one.isalpha()} == set()
    assert {one for one in secrets if re.search(rf"\b{re.escape(one)}\b", text, re.I)} == set()
    assert re.search(r"\d{4}-\d\d|[0-9a-f]{8}-[0-9a-f]{4}", text) is None  # no date, no UUID
    assert SENSITIVE.search(text) is None
    assert found.payload is not None
    kinds = {one["resource"]["resourceType"] for one in found.payload["entry"]}
    assert kinds <= {"Patient", "Appointment"}
    assert len(resources(found, "Appointment")) == 4  # and what is needed does leave
    codes = {code for entry in loaded(path)["entry"] for code in _codes(entry["resource"])}
    assert codes.isdisjoint(re.findall(r"[\w.-]+", text))


def _codes(resource: Json) -> set[str]:
    coding = (resource.get("code") or {}).get("coding") or ()
    return {one["code"] for one in coding if len(one.get("code", "")) > 4}


def test_an_appointment_of_several_patients_stays_here() -> None:
    shared = appointment()
    shared["participant"].append({"actor": {"reference": "Patient/p2"}, "status": "accepted"})
    unknown = appointment()
    unknown["participant"][1]["actor"]["reference"] = "urn:uuid:0b0b"
    nobody = appointment(participant=[])

    found = ask(bundle(patient(), shared, unknown, nobody), TOOLS["punctua-noshow"])

    assert resources(found, "Appointment") == []
    assert [row.count for row in found.manifest.withheld if row.path == "Appointment"] == [3]


@pytest.mark.parametrize(
    ("extra", "leads"),
    [
        ({}, [58]),
        ({"created": "2026-03-02T08:30:00Z"}, [30]),
        ({"created": "2026-03-02T08:30:01Z"}, []),  # not yet booked when it is asked
        ({"created": None}, []),
        ({"status": "noshow"}, []),  # how it went is not known yet
        ({"status": "cancelled"}, []),
        ({"created": "2020-01-01"}, [365]),
        ({"start": "2026-03-02T08:00:00Z"}, [28]),
    ],
)
def test_an_appointment_ahead_is_known_since_it_was_booked(extra: Json, leads: list[int]) -> None:
    found = ask(bundle(patient(), appointment(**extra)), TOOLS["punctua-noshow"])

    sent = resources(found, "Appointment")
    assert [one["extension"][0]["valueInteger"] for one in sent] == leads


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[str, str, str], PolicySet]:
    """The shipped policy with one edit."""
    copy = Path(shutil.copytree(ROOT / "policies", tmp_path / "policies"))

    def edit(name: str, old: str, new: str) -> PolicySet:
        text = (copy / name).read_text(encoding="utf-8")
        assert old in text
        (copy / name).write_text(text.replace(old, new, 1), encoding="utf-8")
        return PolicySet.load(copy)

    return edit


OPENED = "classes: [age-band, appointment-history]"
BAND = "    transforms: [age_band]\n    administrative: true\n"


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("roles.yaml", OPENED, "classes: [age-band, sex]", "'sex' is not administrative"),
        ("roles.yaml", OPENED, OPENED + "\n    sensitivity: [PSY]", "opens nothing sensitive"),
        ("roles.yaml", OPENED, OPENED + "\n    confidentiality: [R]", "opens nothing sensitive"),
        ("data_classes.yaml", BAND, "    administrative: true\n", "would leave as it is"),
        ("data_classes.yaml", BAND, BAND.replace("age_band", "age_years"), "only age_band"),
        ("data_classes.yaml", BAND, BAND + "    sensitivity: [PSY]\n", "about nothing sensitive"),
        (
            "data_classes.yaml",
            "paths: [status, start]",
            "paths: [status, start, created]",
            "'created'",
        ),
        ("data_classes.yaml", "paths: [status, start]", "paths: [status]", "has a lead"),
        ("data_classes.yaml", "title: Vital signs", "title: v\n    administrative: true", "paths"),
    ],
)
def test_no_policy_can_open_more_to_it(
    edited: Callable[[str, str, str], PolicySet], name: str, old: str, new: str, says: str
) -> None:
    with pytest.raises(PolicyInvalid, match=says):
        edited(name, old, new)


def test_a_lead_is_told_of_nothing_but_a_start() -> None:
    tool = TOOLS["punctua-noshow"]
    need = tool.needs[0].model_copy(
        update={"paths": ("created",), "transforms": {"created": "lead_days"}}
    )
    other = tool.model_copy(update={"tool": "other", "needs": (need,)})

    assert ask(bundle(patient(), appointment()), other).payload is None
