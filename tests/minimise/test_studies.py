"""One study among several: what belongs to it, however it is named."""

from __future__ import annotations

from typing import Any

import pytest

from minimise.charts import LOINC, Json, bundle, resources, run, tool, with_classes

PERSON = {"resourceType": "Patient", "id": "p1"}
MINE = {"reference": "Patient/p1"}
WANTS = tool(
    {"resource": "ImagingStudy", "paths": ("status", "modality")},
    {"resource": "DiagnosticReport", "paths": ("status", "code")},
    {"resource": "Observation", "paths": ("status", "code")},
)


def study(number: int, **extra: Any) -> Json:
    return {
        "resourceType": "ImagingStudy",
        "id": f"s{number}",
        "status": "available",
        "subject": MINE,
        "identifier": [{"value": f"urn:oid:1.2.{number}"}, "odd", {"system": "x"}],
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "DX"}],
        **extra,
    }


def result(kind: str, code: str, **extra: Any) -> Json:
    return {
        "resourceType": kind,
        "status": "final",
        "subject": MINE,
        "code": {"coding": [{"system": LOINC, "code": code}]},
        **extra,
    }


def sent(asked: str | None, *others: Json) -> dict[str, int]:
    by = with_classes("imaging-studies", "imaging-reports", "vital-signs")
    found = run(bundle(PERSON, study(1), study(2), *others), WANTS, by=by, study=asked)
    kinds = ("ImagingStudy", "DiagnosticReport", "Observation")
    return {kind: len(resources(found, kind)) for kind in kinds}


def report(*studies: Any) -> Json:
    return result("DiagnosticReport", "36643-5", imagingStudy=list(studies))


@pytest.mark.parametrize(
    "asked", ["ImagingStudy/s1", "urn:uuid:1", "urn:uuid:s1", "1.2.1", "urn:oid:1.2.1"]
)
@pytest.mark.parametrize(
    "reference",
    ["ImagingStudy/s1", "urn:uuid:1", "urn:uuid:s1"],
)
def test_however_a_study_is_named_its_report_leaves_and_no_other(
    asked: str, reference: str
) -> None:
    own, other = report({"reference": reference}), report({"reference": "ImagingStudy/s2"})

    assert sent(asked, own, other) == {
        "ImagingStudy": 1, "DiagnosticReport": 1, "Observation": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("links", "leaves"),
    [
        ([], 1),
        (["odd"], 1),
        ([{"reference": 7}], 1),
        ([{"display": "x"}], 1),
        ([{"reference": "Basic/x"}], 1),
        ([{"reference": "ImagingStudy/s1"}, {"reference": "ImagingStudy/s2"}], 1),
        ([{"reference": "ImagingStudy/s2"}], 0),
        ([{"reference": "ImagingStudy/gone"}], 0),
        ([{"reference": "https://a.example/ImagingStudy/s9"}], 0),
    ],
)
def test_what_names_only_other_studies_stays(links: list[Any], leaves: int) -> None:
    seen = result("Observation", "8867-4", derivedFrom=links)

    assert sent("ImagingStudy/s1", report(*links))["DiagnosticReport"] == leaves
    assert sent("ImagingStudy/s1", seen)["Observation"] == leaves
    assert sent(None, report(*links), seen) == {
        "ImagingStudy": 2, "DiagnosticReport": 1, "Observation": 1,
    }  # fmt: skip


def test_a_study_that_the_chart_does_not_have_lets_no_study_go() -> None:
    assert sent("ImagingStudy/s7", report({"reference": "ImagingStudy/s7"})) == {
        "ImagingStudy": 0, "DiagnosticReport": 1, "Observation": 0,
    }  # fmt: skip
