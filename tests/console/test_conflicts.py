"""The work list as a clinician meets it, in this process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from adjudication.world import World, pneumothorax, token, world
from careweir.adjudication import Seen
from careweir_fhir.model import Span

ORIGIN = {"Origin": "http://gw"}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("console-conflicts") / "data") as found:
        yield found


@pytest.fixture
def here(standing: World) -> World:
    standing.forget()
    return standing


def visit(
    here: World, method: str, path: str, role: str | None = "radiologist", **more: Any
) -> httpx.Response:
    headers = {**ORIGIN, **more.pop("headers", {})}
    if role is not None:
        headers["Cookie"] = f"careweir_console={token(role)}"
    return here.call(method, path, "", headers=headers, **more)


def seen_in(here: World, address: str) -> str:
    """What the form of a page says that its reader saw."""
    found = re.search(r'name="seen" value="([0-9a-f]{16})"', visit(here, "GET", address).text)
    assert found is not None
    return found[1]


def disagree(here: World, **more: Any) -> str:
    seen = {
        "lumen-cxr": Seen(("DiagnosticReport.conclusion", "Patient.birthDate"), {}),
        "radnote-cxr": Seen(("DiagnosticReport.conclusion",), {"Patient.birthDate": "role"}),
    }
    told = pneumothorax("lumen-cxr", laterality="left", explanation=("visible pleural line",))
    quoted = Span(start=0, end=15, text="No pneumothorax")
    denied = pneumothorax("radnote-cxr", "absent", span=quoted, verified=False)
    name = here.answer(told, denied, seen=seen, **more)
    return f"/console/conflicts/{name.conflicts[0].id}"


def test_the_list_says_who_says_what_and_until_when(here: World) -> None:
    address = disagree(here)

    page = visit(here, "GET", "/console/conflicts")

    assert page.status_code == 200
    assert f'href="{address}"' in page.text
    assert "<b>lumen-cxr</b> present, left" in page.text
    assert "due in 1 hour" in page.text
    here.clock.tick(minutes=75)
    assert "15 minutes overdue" in visit(here, "GET", "/console/conflicts").text
    assert "Nothing has been settled" in visit(here, "GET", "/console/conflicts?state=settled").text


def test_one_conflict_side_by_side_with_evidence_and_what_one_did_not_see(here: World) -> None:
    page = visit(here, "GET", disagree(here)).text

    for words in (
        "visible pleural line", "“No pneumothorax”", "its code could not be checked",
        "Patient.birthDate", "role", "Patient/1", "1.0",
        "No conflict of lumen-cxr has been settled yet", "2 Mar 2026",
    ):  # fmt: skip
        assert words in page
    assert page.count('class="card side') == 2


def test_a_verdict_by_form_settles_it(here: World) -> None:
    address = disagree(here)
    form = {"verdict": "prefer:0", "rationale": "CANARY clear line on the film",
            "seen": seen_in(here, address)}  # fmt: skip

    done = visit(here, "POST", f"{address}/settle", data=form)

    assert (done.status_code, done.headers["location"]) == (303, address)
    page = visit(here, "GET", address).text
    assert "One finding is right: lumen-cxr" in page
    assert "CANARY clear line" in page
    assert 'action="' + address + '/reopen"' in page
    visit(here, "POST", f"{address}/reopen", data={"rationale": "a second film"})
    assert [row["state"] for row in here.rows()] == ["open"]
    assert "One finding is right, that of lumen-cxr" in visit(here, "GET", address).text


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"rationale": "because"}, "choose a verdict"),
        ({"verdict": "prefer:9", "rationale": "because"}, "choose the finding"),
        ({"verdict": "neither", "rationale": " "}, "say why"),
    ],
)
def test_a_form_that_cannot_be_used_comes_back_as_it_was(
    here: World, form: dict[str, str], words: str
) -> None:
    address = disagree(here)

    back = visit(here, "POST", f"{address}/settle", data=form | {"seen": seen_in(here, address)})

    assert back.status_code == 422
    assert f"Nothing was settled: {words}" in back.text
    assert form["rationale"] in back.text
    assert here.rows()[0]["state"] == "open"


def test_what_changed_since_it_was_read_is_not_settled_unread(here: World) -> None:
    address = disagree(here)
    read = seen_in(here, address)
    here.clock.tick(minutes=1)
    here.answer(pneumothorax("lumen-cxr", "absent"), pneumothorax("radnote-cxr"))

    form = {"verdict": "neither", "rationale": "because", "seen": read}
    assert visit(here, "POST", f"{address}/settle", data=form).status_code == 409
    form["seen"] = seen_in(here, address)
    assert visit(here, "POST", f"{address}/settle", data=form).status_code == 303


@pytest.mark.parametrize("step", ["settle", "claim", "reopen"])
@pytest.mark.parametrize("headers", [{"Origin": "http://evil"}, {"Sec-Fetch-Site": "cross-site"}])
def test_no_other_site_can_make_a_browser_settle(
    here: World, step: str, headers: dict[str, str]
) -> None:
    address = disagree(here)
    form = {"verdict": "neither", "rationale": "because", "seen": "1"}

    assert visit(here, "POST", f"{address}/{step}", data=form, headers=headers).status_code == 403
    assert here.rows()[0]["history"][1:] == []


def test_only_who_settles_or_audits_comes_in(here: World) -> None:
    address = disagree(here)

    assert visit(here, "GET", address, None).status_code == 401
    assert visit(here, "GET", address, "scheduler").status_code == 403
    assert visit(here, "GET", address, "coder").status_code == 404
    assert visit(here, "GET", "/console/audit", "radiologist").status_code == 403
    audited = visit(here, "GET", address, "auditor")
    assert audited.status_code == 200
    assert "What the tools said is not shown" in audited.text
    for word in ("neumothorax", "Patient/1", "pleural line", "Encounter/e1"):
        assert word not in audited.text
        assert word in visit(here, "GET", address).text
    assert "Settle it" not in audited.text


def test_a_radiologist_signs_in_and_lands_at_the_conflicts(here: World) -> None:
    signed = visit(here, "POST", "/console/session", None, data={"token": token("radiologist")})

    assert signed.headers["location"] == "/console/conflicts"
    refused = visit(here, "POST", "/console/session", None, data={"token": token("scheduler")})
    assert refused.status_code == 403


def test_pages_allow_no_script_and_escape_what_a_vendor_wrote(here: World) -> None:
    told = pneumothorax("lumen-cxr", explanation=("<script>alert(1)</script>",))
    name = here.answer(told, pneumothorax("radnote-cxr", "absent")).conflicts[0].id

    page = visit(here, "GET", f"/console/conflicts/{name}")

    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_opening_a_conflict_is_on_the_record(here: World) -> None:
    address = disagree(here)
    visit(here, "GET", address)

    entry = here.recorded("read")[-1]
    assert entry.body["what"] == f"console: conflict {address.rpartition('/')[2]}"
    assert re.fullmatch(r"[0-9a-f]{32}", entry.patient_key)


def test_a_long_list_goes_on(here: World) -> None:
    for number in range(27):
        disagree(here, subject=f"Patient/{number}")

    first = visit(here, "GET", "/console/conflicts").text
    further = re.search(r'href="([^"]+after=[^"]+)"', first)
    assert further is not None
    second = visit(here, "GET", further[1].replace("&amp;", "&")).text

    rows = [len(re.findall(r'<li class="card dispute', page)) for page in (first, second)]
    assert rows == [25, 2]
