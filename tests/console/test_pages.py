"""The auditor's pages over real HTTP: who may, what they show, and what is recorded of it."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from typing import Any

import httpx
import pytest

from console.visit import History, session

PATH = "/console/audit"


def recorded(history: History, kind: str = "read") -> list[dict[str, Any]]:
    """The entries of one type, oldest first."""
    with sqlite3.connect(f"file:{history.data / 'audit.db'}?mode=ro", uri=True) as database:
        rows = database.execute(
            "SELECT body FROM audit_entry WHERE type = ? ORDER BY position", (kind,)
        ).fetchall()
    return [json.loads(body)["what"] for (body,) in rows]


def search(client: httpx.Client, **filters: str) -> httpx.Response:
    """Fill in the form and follow to what it found."""
    return client.post(f"{PATH}/search", data=filters, follow_redirects=True)


def test_without_a_token_there_is_a_sign_in_page_and_nothing_else(stranger: httpx.Client) -> None:
    for path in (PATH, f"{PATH}/verify", f"{PATH}/break-glass", f"{PATH}/inf_x"):
        response = stranger.get(path)
        assert response.status_code == 401
        assert "Access token" in response.text
    assert stranger.get(f"{PATH}/download?format=csv").status_code == 401


def test_a_token_becomes_a_cookie_that_no_script_and_no_other_site_gets(
    stranger: httpx.Client, history: History
) -> None:
    token = history.gateway.tokens["auditor"]

    response = stranger.post("/console/session", data={"token": token})

    cookie = response.headers["set-cookie"]
    assert response.status_code == 303
    assert {"HttpOnly", "Path=/console", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Secure" not in cookie  # loopback
    assert stranger.get(PATH).status_code == 200


def test_beyond_loopback_the_cookie_is_secure(stranger: httpx.Client, history: History) -> None:
    response = stranger.post(
        "/console/session", data={"token": history.gateway.tokens["auditor"]},
        headers={"Host": "gateway.example", "Origin": "https://gateway.example"},
    )  # fmt: skip

    assert response.headers["set-cookie"].endswith("Secure")


@pytest.mark.parametrize("token", ["", "a.b.c", "not a token", "x" * 9000])
def test_a_token_that_does_not_hold_is_refused(stranger: httpx.Client, token: str) -> None:
    response = stranger.post("/console/session", data={"token": token})

    assert response.status_code == 401
    assert "Access token" in response.text
    assert not stranger.cookies
    if token:
        assert token not in response.text


@pytest.mark.parametrize("role", ["scheduler", "operator", "vendor"])
def test_other_roles_see_nothing_and_their_try_is_recorded(history: History, role: str) -> None:
    before = len(recorded(history))

    with session(history, role) as client:
        assert not client.cookies
        by_cookie = client.get(PATH, headers={
            "Cookie": f"careweir_console={history.gateway.tokens[role]}"})  # fmt: skip

    assert by_cookie.status_code == 403
    assert "not open to you" in by_cookie.text
    assert history.whole not in by_cookie.text
    reads = recorded(history)[before:]
    assert [read["what"] for read in reads] == ["console: refused to this role"] * 2
    assert {read["role"] for read in reads} == {role}


@pytest.mark.parametrize("role", ["ed-physician", "coder", "governance-board"])
def test_who_settles_conflicts_signs_in_and_sees_no_record(history: History, role: str) -> None:
    before = len(recorded(history))

    with session(history, role) as client:
        refused = client.get(PATH)
        conflicts = client.get("/console/conflicts")

    assert (refused.status_code, conflicts.status_code) == (403, 200)
    assert history.whole not in refused.text
    assert recorded(history)[before]["what"] == "console: refused to this role"


@pytest.mark.parametrize("role", ["auditor", "privacy-officer"])
def test_auditors_and_privacy_officers_see_the_record(history: History, role: str) -> None:
    with session(history, role) as client:
        response = client.get(PATH)

    assert response.status_code == 200
    assert "Emergency physician asked: Risk of sepsis within hours, for TREAT" in response.text


def test_signing_out_takes_the_token_back(auditor: httpx.Client) -> None:
    assert auditor.get(PATH).status_code == 200

    auditor.post("/console/session/end")

    assert auditor.get(PATH).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": ""},
     {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
@pytest.mark.parametrize(
    "path",
    ["/console/session", "/console/session/end", f"{PATH}/verify", f"{PATH}/search"],
)
def test_a_form_that_another_site_sends_does_nothing(
    auditor: httpx.Client, path: str, headers: dict[str, str]
) -> None:
    assert auditor.post(path, headers=headers).status_code == 403
    assert auditor.get(PATH).status_code == 200


def test_every_page_allows_no_script_and_no_other_host(auditor: httpx.Client) -> None:
    for path in (PATH, f"{PATH}/verify", f"{PATH}/break-glass", f"{PATH}/none"):
        response = auditor.get(path)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["cache-control"] == "no-store"
        assert "<script" not in response.text
        assert not re.search(r"\sstyle=|\son[a-z]+=", response.text)


def test_a_patients_reference_is_nowhere_but_in_the_form(
    auditor: httpx.Client, history: History
) -> None:
    redirect = auditor.post(f"{PATH}/search", data={"patient_reference": history.patient})
    found = auditor.get(redirect.headers["location"])

    assert redirect.status_code == 303
    assert re.fullmatch(rf"{PATH}\?patient=[0-9a-f]{{32}}", redirect.headers["location"])
    assert found.text.count("Risk of sepsis") >= 1
    assert "chest X-ray" not in found.text
    bare = history.patient.removeprefix("Patient/")
    assert bare not in found.text
    assert bare not in json.dumps(recorded(history))
    assert bare not in history.gateway.stderr.read_text()


def test_a_bare_id_finds_the_same_patient(auditor: httpx.Client, history: History) -> None:
    bare = history.patient.removeprefix("Patient/")

    places = {
        auditor.post(f"{PATH}/search", data={"patient_reference": given}).headers["location"]
        for given in (history.patient, bare, f" {bare} ")
    }

    assert len(places) == 1


def test_a_reference_that_cannot_be_used_is_not_shown_again(auditor: httpx.Client) -> None:
    response = search(auditor, patient_reference="C" * 201, actor="Patient/CANARY")

    assert response.status_code == 422
    assert "Nothing was searched: 2 fields cannot be used" in response.text
    assert "CCCC" not in response.text
    assert "CANARY" not in response.text


@pytest.mark.parametrize(
    ("filters", "shown", "hidden"),
    [
        ({"actor": "Practitioner/demo-scheduler"}, "nothing was sent", "acme-sepsis answered"),
        ({"tool": "lumen-cxr"}, "lumen-cxr answered", "acme-sepsis answered"),
        ({"type": "refusal"}, "Scheduler asked", "lumen-cxr answered"),
        ({"outcome": "degraded"}, "Answered: degraded", "Answered: complete"),
        ({"type": "open"}, "A gateway started its chain", "Risk of sepsis within hours, for"),
    ],
)
def test_each_filter_narrows(
    auditor: httpx.Client, filters: dict[str, str], shown: str, hidden: str
) -> None:
    text = search(auditor, **filters).text

    assert shown in text
    assert hidden not in text


def test_one_question_is_found_by_its_id(auditor: httpx.Client, history: History) -> None:
    text = search(auditor, inference=history.contested).text

    assert "Radiologist asked" in text
    assert "conflict" in text
    assert "Scheduler asked" not in text


def test_a_time_range_narrows(auditor: httpx.Client) -> None:
    assert "Nothing found" in search(auditor, until="2020-01-01").text
    assert "Risk of sepsis" in search(auditor, since="2020-01-01").text
    assert search(auditor, since="2020-01-02", until="2020-01-01").status_code == 422
    assert search(auditor, since="yesterday").status_code == 422


def test_paging_shows_every_entry_once_and_keeps_the_filters(auditor: httpx.Client) -> None:
    def sentences(page: str) -> list[str]:
        return re.findall(r'<td class="what">(.*?)</td>', page, re.S)

    def link(page: str, rel: str) -> str | None:
        found = re.search(rf'rel="{rel}" href="([^"]+)"', page)
        return found[1].replace("&amp;", "&") if found else None

    first = auditor.get(f"{PATH}?since=2020-01-01T00:00:00").text
    pages, place = [first], link(first, "next")
    while place is not None:
        assert "since=2020-01-01" in place
        pages.append(auditor.get(place).text)
        place = link(pages[-1], "next")
    rows = [sentence for page in pages for sentence in sentences(page)]
    everything = auditor.get(f"{PATH}/download?since=2020-01-01T00:00:00&format=ndjson").text

    assert len(pages) >= 2
    assert [len(sentences(page)) for page in pages[:-1]] == [25] * (len(pages) - 1)
    assert len(rows) == len(everything.splitlines())
    assert "Scheduler asked" in rows[-1]
    assert link(first, "prev") is None
    back = link(pages[1], "prev")
    assert back is not None
    assert sentences(auditor.get(back).text) == sentences(first)


def test_readings_are_recorded_before_they_are_shown_and_shown_when_asked_for(
    auditor: httpx.Client, history: History
) -> None:
    before = len(recorded(history))

    quiet = auditor.get(f"{PATH}?tool=lumen-cxr").text
    loud = auditor.get(f"{PATH}?everything=1").text

    reads = recorded(history)[before:]
    assert [read["what"] for read in reads] == [
        "console: search, tool",
        "console: search, everything",
    ]
    assert "at the record" not in quiet
    assert "Auditor at the record: console: search" in loud


def test_the_story_of_a_degraded_answer_says_all(auditor: httpx.Client, history: History) -> None:
    text = auditor.get(f"{PATH}/{history.degraded}").text

    for shown in (
        "Decision: allowed", "grant ed-physician/TREAT/sepsis-risk", "to acme-sepsis",
        "to beacon-sepsis", "What stayed, and why", "The tool does not need it", "Patient.name",
        "could not be reached", "received is not certain",
        "Computed news2 here", "Answer: degraded", "Receipts",
    ):  # fmt: skip
        assert shown in text
    assert text.count("dis_") == 3  # two attempts at one tool, one at the other


def test_the_story_of_a_contested_answer_names_the_conflict(
    auditor: httpx.Client, history: History
) -> None:
    text = auditor.get(f"{PATH}/{history.contested}").text

    assert re.search(r"\d conflicts?</h3>", text)
    assert "rule " in text


def test_an_unknown_question_is_a_page_that_says_so(auditor: httpx.Client) -> None:
    for name in ("inf_none", "<b>x", "%3Cscript%3E"):
        response = auditor.get(f"{PATH}/{name}")
        assert response.status_code == 404
        assert "Nothing here" in response.text
        assert "<b>x" not in response.text


def test_a_download_holds_the_search_and_is_recorded(
    auditor: httpx.Client, history: History
) -> None:
    before = len(recorded(history))

    response = auditor.get(f"{PATH}/download?tool=acme-sepsis&format=csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    lines = auditor.get(f"{PATH}/download?tool=acme-sepsis&format=ndjson").text.splitlines()

    assert response.headers["content-disposition"].startswith("attachment; filename=")
    assert {row["tool"] for row in rows} == {"acme-sepsis"}
    assert [row["hash"] for row in rows] == [json.loads(line)["hash"] for line in lines]
    assert rows[0]["recorded"] > rows[-1]["recorded"]
    assert "manifest" in json.loads(lines[-1])["body"]
    reads = recorded(history)[before:]
    assert [read["what"].rsplit(" ", 1)[1] for read in reads] == ["begun", "ended"] * 2
    assert reads[1]["found"] == len(rows)


def test_a_download_of_nonsense_is_refused(auditor: httpx.Client) -> None:
    assert auditor.get(f"{PATH}/download").status_code == 404
    assert auditor.get(f"{PATH}/download?format=exe").status_code == 404
    assert auditor.get(f"{PATH}/download?format=csv&tool=A").status_code == 404


def test_what_cannot_be_recorded_is_not_shown(auditor: httpx.Client, history: History) -> None:
    lock = sqlite3.connect(history.data / "audit.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        response = auditor.get(PATH)
    finally:
        lock.execute("ROLLBACK")
        lock.close()

    assert response.status_code == 503
    assert "not available now" in response.text
    assert "Risk of sepsis" not in response.text
    assert auditor.get(PATH).status_code == 200


def test_the_style_sheet_needs_no_sign_in_and_there_is_nothing_else(
    stranger: httpx.Client,
) -> None:
    assert (
        stranger.get("/console/static/console.css").headers["content-type"].startswith("text/css")
    )
    assert stranger.get("/console/static/mark.svg").status_code == 200
    assert stranger.get("/console/static/..%2froutes.py").status_code == 404
    assert stranger.get("/console/static/routes.py").status_code == 404


def test_a_form_without_end_is_refused(auditor: httpx.Client) -> None:
    response = auditor.post(f"{PATH}/search", data={"actor": "x" * 20_000})

    assert response.status_code == 422
