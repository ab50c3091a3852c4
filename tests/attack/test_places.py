"""No address in a chart, a call, a header or a vendor's answer makes the gateway connect to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest

from support.charts import chest, sepsis
from support.running import Served


class Trap:
    """A listening socket that counts who comes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.visits = 0


@contextmanager
def trap() -> Iterator[Trap]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0.05)
        found = Trap(f"http://127.0.0.1:{listening.getsockname()[1]}")
        done = False

        def watch() -> None:
            while not done:
                try:
                    wire, _ = listening.accept()
                except TimeoutError:
                    continue
                found.visits += 1
                wire.close()

        thread = Thread(target=watch)
        thread.start()
        try:
            yield found
        finally:
            done = True
            thread.join()


def test_the_trap_counts_who_comes() -> None:
    with trap() as found:
        port = int(found.url.rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port)).close()
    assert found.visits == 1


def baited(question: dict[str, Any], url: str) -> dict[str, Any]:
    """The question with an address wherever a chart may hold one."""
    chart = question["inputs"]
    chart["meta"] = {"source": f"{url}/source", "profile": [f"{url}/profile"]}
    chart["implicitRules"] = f"{url}/rules"
    chart["link"] = [{"relation": "next", "url": f"{url}/next"}]
    for number, entry in enumerate(chart["entry"]):
        resource = entry["resource"]
        resource["extension"] = [{"url": f"{url}/extension", "valueUrl": f"{url}/value"}]
        resource["meta"] = {"profile": [f"{url}/profile/{number}"]}
        if resource["resourceType"] == "DiagnosticReport":
            for form in resource.get("presentedForm", ()):
                form["url"] = f"{url}/form"
            resource["media"] = [{"link": {"reference": f"{url}/Media/1"}}]
    bait = {
        "resourceType": "DocumentReference",
        "id": "bait",
        "status": "current",
        "subject": {"reference": question["subject"]},
        "content": [{"attachment": {"contentType": "text/plain", "url": f"{url}/letter"}}],
    }
    chart["entry"].append({"resource": bait})
    return question


@pytest.mark.parametrize("make", [sepsis, chest])
def test_addresses_in_a_chart_are_data(gateway: Served, make: Any) -> None:
    with trap() as found:
        plain, answer = (
            gateway.ask(make()),
            gateway.ask(
                baited(make(), found.url), role="radiologist" if make is chest else "ed-physician"
            ),
        )
        assert plain.status_code == 200 or make is chest
        assert answer.status_code == 200, answer.text
    assert found.visits == 0


def test_a_caller_names_a_configured_server_and_never_an_address(gateway: Served) -> None:
    with trap() as found:
        for name in (
            found.url,
            f"{found.url}/fhir",
            "file:///etc/passwd",
            "../sources",
            "main-ehr",
            "http://169.254.169.254/latest/meta-data",
            "gopher://127.0.0.1:9/",
        ):
            asked = sepsis(source={"fhir_server": name})
            del asked["inputs"]
            answer = gateway.ask(asked)
            assert answer.status_code == 422, name
            assert answer.json()["code"] in ("source_unknown", "question_invalid")
            assert found.url not in answer.text
    assert found.visits == 0


def test_an_ehr_names_a_server_and_nobody_goes_there(gateway: Served) -> None:
    with trap() as found:
        body = {"hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
                "fhirServer": found.url,
                "fhirAuthorization": {"access_token": "CANARY", "token_type": "Bearer",
                                      "expires_in": 300, "scope": "x", "subject": "y"},
                "context": {"patientId": "p1", "userId": "Practitioner/1"}}  # fmt: skip
        headers = {"Authorization": f"Bearer {gateway.tokens['ed-physician']}"}
        answer = gateway.client.post("/cds-services/sepsis-risk", json=body, headers=headers)
        assert answer.status_code == 412
        assert "CANARY" not in answer.text
    assert found.visits == 0


def test_headers_that_name_an_address_lead_nowhere(gateway: Served) -> None:
    with trap() as found:
        host = found.url.removeprefix("http://")
        for name, value in {
            "X-Forwarded-Host": host, "Forwarded": f"host={host}", "X-Original-URL": found.url,
            "X-Callback-Url": found.url, "Referer": found.url, "Origin": found.url,
            "Content-Location": found.url, "Link": f"<{found.url}>; rel=callback",
            "X-Forwarded-For": "127.0.0.1", "Proxy": found.url,
        }.items():  # fmt: skip
            headers = {"Authorization": f"Bearer {gateway.tokens['ed-physician']}", name: value}
            answer = gateway.client.post("/v1/inferences", json=sepsis(), headers=headers)
            assert answer.status_code == 200
            assert found.url not in answer.text
    assert found.visits == 0


def test_a_vendor_that_points_elsewhere_is_not_followed(gateway: Served) -> None:
    """The simulators' redirect leads elsewhere on loopback; it counts as a broken answer."""
    gateway.fault("acme-sepsis", "redirect")
    try:
        before = gateway.calls()["acme-sepsis"]
        rows = {row["tool"]: row for row in gateway.ask(sepsis()).json()["tools"]}
        assert rows["acme-sepsis"]["status"] == "protocol_error"
        assert gateway.calls()["acme-sepsis"] == before + 1
    finally:
        gateway.fault("acme-sepsis", "off")
