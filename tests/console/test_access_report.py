"""A patient's own report: complete, plain, without a value, and itself on the record."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import httpx

from careweir.audit import Entry, Receipt, Stored
from careweir.console.access_report import COLUMNS, report_of
from careweir.console.words import Names
from console.visit import History, session
from support.running import careweir

PATH = "/console/audit"
NAMES = Names(roles={"ed-physician": "Emergency physician"}, capabilities={"sepsis": "Sepsis risk"})
SAID = {"role": "ed-physician", "purpose": "TREAT", "capability": "sepsis", "site": "north"}


def rows(*entries: Entry) -> list[Stored]:
    moment = "2026-03-02T08:15:00.000001Z"
    return [Stored(n, Receipt("gw.0a", n, "ab"), moment, e) for n, e in enumerate(entries, 1)]


def made(*entries: Entry, cut: bool = False) -> Any:
    return report_of(rows(*entries), NAMES, made=datetime(2026, 3, 3, tzinfo=UTC), cut=cut)


def test_each_question_says_who_why_and_what_each_tool_received() -> None:
    facts: Any = {"inference": "inf_1", "actor": "dr-1", "client": "ehr"}
    manifest = {"sent": ["Observation.code", "Patient.gender"], "withheld": [{"path": "x"}]}
    report = made(
        Entry("decision", SAID, outcome="permit", **facts),
        Entry("intent", {**SAID, "vendor": "ACME", "manifest": manifest}, tool="acme",
              disclosure="d", **facts),
        Entry("outcome", SAID, tool="acme", disclosure="d", outcome="vendor_timed_out", **facts),
        Entry("read", {"role": "auditor"}, actor="au-1", client="console"),
    )  # fmt: skip

    (one,) = report.questions
    assert (one.who, one.role, one.purpose) == ("dr-1", "Emergency physician", "TREAT (treatment)")
    assert one.happened == "was allowed; data about you was sent to the tools below"
    (got,) = one.shares
    assert (got.tool, got.vendor, got.stayed) == ("acme", "ACME", 1)
    assert got.sent == ("Observation.code", "Patient.gender")
    assert got.result == "did not answer in time"
    (reading,) = report.readings
    assert (reading.who, reading.happened) == ("au-1", "read what is on the record about you")


def test_a_refusal_and_an_override_are_told_and_a_cut_is_said() -> None:
    asked = {**SAID, "purpose": "BTG", "break_glass_reason": "=unconscious"}
    report = made(Entry("refusal", asked, inference="i", actor="=1+1"), cut=True)

    (one,) = report.questions
    assert one.happened == "was refused; no tool received anything"
    assert one.emergency == "=unconscious"
    assert report.cut
    table = list(csv.DictReader(io.StringIO(report.as_csv())))
    assert tuple(table[0]) == COLUMNS
    assert table[0]["who"] == "'=1+1"


def test_the_page_and_its_files_tell_the_same(auditor: httpx.Client, history: History) -> None:
    found = auditor.post(f"{PATH}/search", data={"patient_reference": history.patient},
                         follow_redirects=True)  # fmt: skip
    key = httpx.QueryParams(found.url.query)["patient"]
    address = f"{PATH}/report?patient={key}"
    assert "access report" in found.text

    page = auditor.get(address)
    data = auditor.get(f"{address}&format=json").json()
    table = list(csv.DictReader(io.StringIO(auditor.get(f"{address}&format=csv").text)))

    assert page.status_code == 200
    assert "Who saw what of mine" in page.text
    assert history.whole in page.text
    assert history.whole in {one["reference"] for one in data["questions"]}
    assert history.whole in {row["reference"] for row in table}
    assert history.patient not in page.text
    assert any("Auditor" in one["role"] for one in data["readings"])


def test_no_other_role_and_no_other_parameter(auditor: httpx.Client, history: History) -> None:
    key = "0" * 32
    assert "Nobody has asked" in auditor.get(f"{PATH}/report?patient={key}").text
    for query in ("", f"?patient={key}&format=pdf", "?patient=Patient/1"):
        assert auditor.get(f"{PATH}/report{query}").status_code == 404
    with session(history, "ed-physician") as other:
        assert other.get(f"{PATH}/report?patient={key}").status_code in (401, 403)


def test_the_command_line_makes_the_same_report(history: History) -> None:
    def report(form: str) -> bytes:
        done = careweir("audit", "report", "--patient", history.patient, "--format", form,
                        "--data", str(history.data))  # fmt: skip
        assert done.returncode == 0, done.stderr
        return bytes(done.stdout)

    data = json.loads(report("json"))
    assert history.whole in {one["reference"] for one in data["questions"]}
    html = report("html").decode()
    assert "<h1>Who saw what of mine" in html
    assert history.whole in html
    assert "href=" not in html
    assert history.whole.encode() in report("csv")
