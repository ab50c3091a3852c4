"""Free text: by need and by right only, decoded, scrubbed and encoded again."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from careweir.minimise import read_chart
from careweir.minimise.scrub import scrubber_of
from minimise.charts import (
    CHEST,
    bundle,
    decision,
    everything,
    patient,
    policies,
    reasons,
    report,
    resources,
    run,
    tool,
)

NEED = {"resource": "DiagnosticReport", "paths": ("code", "presentedForm", "conclusion")}
RELATIVE = {
    "resourceType": "RelatedPerson",
    "id": "rel1",
    "patient": {"reference": "Patient/p1"},
    "name": [{"family": "Ostrander", "given": ["Bertrand"]}],
}
DOCTOR = {
    "resourceType": "Practitioner",
    "id": "doc1",
    "name": [{"family": "Vandermolen", "given": ["Sylvaine"]}],
    "identifier": [{"value": "1457398213"}],
}


def sent_text(text: str, *others: dict[str, Any], **person: Any) -> str:
    found = run(bundle(patient(**person), report(text), *others), CHEST)
    (sent,) = resources(found, "DiagnosticReport")
    return base64.b64decode(sent["presentedForm"][0]["data"]).decode()


def test_a_report_reaches_a_tool_that_needs_text_and_says_so() -> None:
    found = run(bundle(patient(), report("Clear lungs."), RELATIVE), CHEST)

    (sent,) = resources(found, "DiagnosticReport")
    assert base64.b64decode(sent["presentedForm"][0]["data"]) == b"Clear lungs."
    transforms = {(row.path, row.transform) for row in found.manifest.transformed}
    assert ("DiagnosticReport.presentedForm", "redact_text") in transforms


def test_text_stays_where_the_tool_file_does_not_ask_for_text() -> None:
    found = run(bundle(patient(), report()), tool(NEED, capability="chest-xray-findings"))

    assert "presentedForm" not in resources(found, "DiagnosticReport")[0]
    assert reasons(found)["DiagnosticReport.presentedForm"] == {"not_needed_by_tool"}


def test_text_stays_where_the_role_may_not_send_text() -> None:
    asked = tool({**NEED, "text": True}, {"resource": "Patient", "paths": ("gender",)})

    found = run(bundle(patient(), report()), asked, by=decision())

    assert resources(found, "DiagnosticReport") == []
    assert reasons(found)["DiagnosticReport.presentedForm"] == {"role"}


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        ("Ms Marisol Quillfeather was seen.", "Quillfeather"),
        ("QUILLFEATHER, MARISOL", "MARISOL"),
        ("Dr. Sylvaine Vandermolen reports:", "Vandermolen"),
        ("Her brother Bertrand called.", "Bertrand"),
        ("MRN: MRN-4471902", "4471902"),
        ("mrn 4471902", "4471902"),
        ("SSN 987-65-4321", "4321"),
        ("Call 555-201-7788 or (555) 201 7788", "7788"),
        ("lives at 14 Tanglewood Crescent, Brackenholm 48226", "Tanglewood"),
        ("from Brackenholm", "Brackenholm"),
        ("born 03/03/1957", "1957"),
        ("born 3 March 1957", "1957"),
        ("DOB: March 3, 1957", "1957"),
        ("born 1957-03-03", "1957"),
        ("compared with 12.11.2024", "2024"),
        ("compared with 11/12/24", "11/12/24"),
        ("compared with Jan 5, 2025", "2025"),
        ("on 20240105", "20240105"),
        ("mail a.person+x@example.org", "example.org"),
        ("see https://pacs.example/study/9", "pacs"),
        ("accession A2231907", "2231907"),
        ("study 1.2.840.113619.2.55.3.604688119", "604688119"),
        ("id 9f0c2d5e-1111-4222-8333-abcdefabcdef", "abcdef"),
        ("Dictated by: Orlando Finch, MD", "Finch"),
        ("Patient: Jane Roe", "Roe"),
        ("A 94-year-old woman", "94"),
        ("97 y.o. female", "97"),
        ("report rep1 by doc1", "doc1"),
        ("NPI 1457398213", "1457398213"),
        ("Quill\u200bfeather", "feather"),
        ("quillfeather's scan", "quillfeather"),
    ],
)
def test_identifiers_do_not_leave_in_text(said: str, gone: str) -> None:
    text = sent_text(f"Lungs clear.\n{said}\nNo effusion.", RELATIVE, DOCTOR)

    assert gone not in text
    assert text.startswith("Lungs clear.")
    assert text.endswith("No effusion.")


@pytest.mark.parametrize(
    "said",
    [
        "Right lower lobe consolidation 3.2 x 1.5 cm.",
        "Opacity in the left upper zone, 12 mm, unchanged.",
        "A 68-year-old woman with cough and fever of 38.5 C for 3 days.",
        "May represent pneumonia. Heart size is normal.",
        "SpO2 91 % on 2 L/min; WBC 14.2.",
        "12 lead ECG shows ST elevation; 3 mm left CT.",
    ],
)
def test_what_a_reader_needs_is_left_as_it_was(said: str) -> None:
    assert sent_text(said, RELATIVE, DOCTOR) == said


@pytest.mark.parametrize(
    "unit", ["a", "a.", "1.", "A", "A b", "Dr. A", "12 Ab ", "name: A", "1-", "2024-", "may 1", " "]
)
def test_no_text_makes_the_scrubber_slow(unit: str) -> None:
    scrub = scrubber_of(read_chart(bundle(patient(), RELATIVE, DOCTOR), subject=None))
    text = unit * (100_000 // len(unit))

    started = time.process_time()
    scrub(text)

    assert time.process_time() - started < 3


def test_names_with_accents_are_found_with_and_without_them() -> None:
    person = {"name": [{"family": "Ibáñez", "given": ["José", "María"]}]}

    text = sent_text("José Ibáñez. jose ibanez. IBÁÑEZ, JOSE. Clear.", **person)

    assert "ose" not in text.lower()
    assert "ib" not in text.lower()


def test_a_short_or_common_name_is_taken_out_only_as_a_name() -> None:
    person = {"name": [{"family": "Long", "given": ["An"]}]}

    assert sent_text("An Long has an opacity as long as 2 cm.", **person) == (
        "[NAME] has an opacity as long as 2 cm."
    )


@pytest.mark.parametrize(
    "attachment",
    [
        {"contentType": "application/pdf", "data": "JVBERi0xLjQ="},
        {"contentType": "text/html", "data": "PGI+"},
        {"contentType": "text/plain", "data": "not base64!"},
        {"contentType": "text/plain", "data": "/////w=="},
        {"contentType": "text/plain", "url": "https://pacs.example/CANARY"},
        {"contentType": "text/plain", "title": "CANARY"},
        {"data": "Q2xlYXI="},
        "CANARY",
    ],
)
def test_an_attachment_that_cannot_be_scrubbed_is_not_sent(attachment: Any) -> None:
    found = run(bundle(patient(), report(presentedForm=[attachment])), CHEST)

    assert "presentedForm" not in resources(found, "DiagnosticReport")[0]
    assert "CANARY" not in everything(found)
    assert reasons(found)["DiagnosticReport.presentedForm"] == {"unknown_code"}


def test_title_url_and_hash_of_an_attachment_stay() -> None:
    form = report()["presentedForm"][0]
    found = run(
        bundle(patient(), report(presentedForm=[{**form, "title": "CANARY", "url": "CANARY"}])),
        CHEST,
    )

    assert "CANARY" not in everything(found)
    assert len(resources(found, "DiagnosticReport")[0]["presentedForm"]) == 1


def test_a_conclusion_is_scrubbed_too() -> None:
    found = run(bundle(patient(), report(conclusion="Clear, Quillfeather.")), CHEST)

    assert resources(found, "DiagnosticReport")[0]["conclusion"] == "Clear, [NAME]."


def test_the_scrubber_covers_a_patient_who_has_almost_nothing() -> None:
    bare = {"resourceType": "Patient", "id": "p1"}

    found = run(bundle(bare, report("Clear.")), CHEST, by=decision(of=CHEST))

    assert len(resources(found, "DiagnosticReport")) == 1
    assert policies().revision == found.manifest.policy_revision


@pytest.mark.parametrize("hidden", ["\u200b", "\u00ad", "\u200d", "\ufeff", "\u202e"])
def test_a_name_that_is_parted_by_what_nobody_sees_is_still_found(hidden: str) -> None:
    chart = read_chart(bundle(patient()), subject=None)

    assert "Quill" not in scrubber_of(chart)(f"Seen: Quill{hidden}feather today")
    assert "naïve" in scrubber_of(chart)("a naïve patient")
