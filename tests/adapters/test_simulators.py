"""Each tool against its simulator: a process of its own, true HTTP, every fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from careweir_kit.adapter import Ask, Parsed, VendorAnswer, VendorRequest
from careweir_kit.registry import discover_adapters, load_tools
from careweir_kit.simulation.faults import FAULTS, RECEIVED_MAX, State
from careweir_kit.simulation.launcher import SimulatorHandle, simulators
from careweir_kit.simulation.model import SimRequest, SimResponse
from careweir_kit.simulation.server import SimulatorServer, Vendor
from support import minimised as charts

TOOLS_DIR = Path(__file__).resolve().parents[2] / "policies" / "tools"
ADAPTERS = discover_adapters()
TOOLS = load_tools(TOOLS_DIR, ADAPTERS)
SIMULATED = sorted(name for name, tool in TOOLS.items() if tool.simulator is not None)
# Every fault is tried on one tool of each adapter: it is the adapter that meets the answer.
FAULTED = sorted({TOOLS[name].adapter: name for name in reversed(SIMULATED)}.values())
TOKEN = "a-token-of-this-test"
# How a token is fetched is tested with the credentials (tests/gateway).
TOKENS = {
    tool.auth.secret: TOKEN
    for tool in TOOLS.values()
    if tool.auth.secret and tool.auth.kind != "oauth2"
}
# Their answers cannot name a model: the version is the tool file's.
VERSIONLESS = {"mlflow", "davinci_pas", "rest"}
KEY_HEADER = "Ocp-Apim-Subscription-Key"
REPORT = charts.report("Small left pneumothorax. No pleural effusion. Heart size is normal.")

# fault -> class of the answer, where there is an answer that can be read
CLASSES = {
    "off": "ok",
    "http_500": "vendor_fault",
    "http_503": "vendor_fault",
    "http_429": "throttled",
    "garbage": "protocol_broken",
    "html_200": "protocol_broken",
    "empty_200": "protocol_broken",
    "wrong_schema": "protocol_broken",
    "nan": "protocol_broken",
    "duplicate_keys": "protocol_broken",
    "redirect": "protocol_broken",
    "wrong_patient": "ok",
    "old_model": "ok",
}
SOCKET_FAULTS = {"hang", "slow_drip", "reset", "huge_body", "gzip_bomb"}


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, SimulatorHandle]]:
    """All simulators, for all tests of this module."""
    loop = asyncio.new_event_loop()
    files = [TOOLS_DIR / f"{name}.yaml" for name in SIMULATED]
    context = simulators(files, seed=11, bearers=TOKENS)
    try:
        yield loop.run_until_complete(context.__aenter__())
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))
        loop.close()


NOTE = charts.note(
    "Mother had heart failure. Shortness of breath and cough since Sunday. Denies fever. "
    "Assessment: pneumonia is likely. Plan: continue oxygen."
)
CHART = (
    *charts.septic(),
    REPORT,
    NOTE,
    charts.age_band(),
    charts.stay("2025-11-01T08:00:00Z", "2025-11-04T08:00:00Z"),
    charts.stay("2026-02-27T08:30:00Z", None),
    charts.condition("M17.11", "Osteoarthritis of right knee"),
    charts.condition("267036007", "Shortness of breath", system=charts.SNOMED),
    charts.order(),
    {"resourceType": "ImagingStudy", "id": "5", "status": "available"},
    *charts.appointments(),
)


def _ask(name: str) -> Ask:
    """One rich chart, of which each tool has what it needs."""
    needed = {need.resource for need in TOOLS[name].needs}
    asked = charts.ask(*(one for one in CHART if one["resourceType"] in needed))
    asked.payload["entry"][0]["resource"]["gender"] = "female"
    return asked


def _shown(token: str) -> dict[str, str]:
    """The token in each place where a tool file may want it."""
    return {"authorization": f"Bearer {token}", KEY_HEADER: token, "App-Key": token}


def _send(handle: SimulatorHandle, request: VendorRequest, *, token: str = TOKEN) -> VendorAnswer:
    headers = {**request.headers, **_shown(token)}
    with httpx.Client(trust_env=False, verify=False, timeout=2) as client:
        url = f"{handle.url}/{request.path}"
        answer = client.request(request.method, url, content=request.body, headers=headers)
    return VendorAnswer(answer.status_code, dict(answer.headers), answer.content)


def _exchange(name: str, handle: SimulatorHandle) -> VendorAnswer:
    """The request of a tool and, where its vendor takes a job, the questions for its result."""
    answer = _send(handle, _request(name))
    for _ in range(10):
        verdict = _http(name).classify_answer(TOOLS[name], answer)
        if verdict.answer_class != "pending" or verdict.follow_up is None:
            break
        answer = _send(handle, verdict.follow_up)
    return answer


def _control(handle: SimulatorHandle, **body: Any) -> dict[str, Any]:
    with httpx.Client(trust_env=False, verify=False, timeout=2) as client:
        answer = client.post(handle.control, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def _state(handle: SimulatorHandle) -> dict[str, Any]:
    with httpx.Client(trust_env=False, verify=False, timeout=2) as client:
        return dict(client.get(handle.control).json())


def _request(name: str) -> VendorRequest:
    return _http(name).build_request(TOOLS[name], _ask(name))


def _http(name: str) -> Any:
    return ADAPTERS[TOOLS[name].adapter].http


def _parsed(name: str, answer: VendorAnswer) -> Parsed:
    found: Parsed = _http(name).parse_findings(TOOLS[name], _ask(name), answer)
    return found


def test_the_faults_of_the_contract_are_all_covered() -> None:
    assert set(CLASSES) | SOCKET_FAULTS == set(FAULTS)


@pytest.mark.parametrize("name", SIMULATED)
def test_a_healthy_answer_has_findings_about_the_patient(
    name: str, running: dict[str, SimulatorHandle]
) -> None:
    _control(running[name], fault="off")

    parsed = _parsed(name, _exchange(name, running[name]))

    assert parsed.findings
    echoed = {charts.SUBJECT} if TOOLS[name].subject_echo == "required" else set()
    assert set(parsed.echoes) == echoed
    assert parsed.model_version or TOOLS[name].adapter in VERSIONLESS
    assert parsed.notes == ()
    assert {finding.tool for finding in parsed.findings} == {name}


@pytest.mark.parametrize("fault", sorted(CLASSES))
@pytest.mark.parametrize("name", FAULTED)
def test_each_fault_gives_its_class(
    name: str, fault: str, running: dict[str, SimulatorHandle]
) -> None:
    _control(running[name], fault=fault, count=1, retry_after=7)

    answer = _exchange(name, running[name])
    verdict = _http(name).classify_answer(TOOLS[name], answer)

    assert verdict.answer_class == CLASSES[fault]
    assert verdict.retry_after_s == (7 if fault == "http_429" else None)
    if fault == "wrong_patient":
        assert charts.SUBJECT not in _parsed(name, answer).echoes
    assert _state(running[name])["fault"] == "off"


@pytest.mark.parametrize("name", FAULTED)
def test_an_old_model_is_refused_where_it_is_pinned_and_noted_elsewhere(
    name: str, running: dict[str, SimulatorHandle]
) -> None:
    _control(running[name], fault="old_model", count=1)
    answer = _exchange(name, running[name])

    if TOOLS[name].adapter in VERSIONLESS:
        assert _parsed(name, answer).model_version is None
    elif TOOLS[name].answer.get("pin"):
        with pytest.raises(Exception, match="another model version"):
            _parsed(name, answer)
    else:
        assert any("another model version" in note for note in _parsed(name, answer).notes)


@pytest.mark.parametrize("name", FAULTED)
def test_hang_and_slow_drip_outlast_a_deadline(
    name: str, running: dict[str, SimulatorHandle]
) -> None:
    for fault in ("hang", "slow_drip"):
        _control(running[name], fault=fault, count=1)
        with pytest.raises(TimeoutError):
            asyncio.run(_within(0.4, running[name], _request(name)))


async def _within(deadline_s: float, handle: SimulatorHandle, request: VendorRequest) -> None:
    headers = {**request.headers, **_shown(TOKEN)}
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=10) as client:
        async with asyncio.timeout(deadline_s):
            url = f"{handle.url}/{request.path}"
            await client.request(request.method, url, content=request.body, headers=headers)


@pytest.mark.parametrize("name", FAULTED)
def test_reset_breaks_the_connection(name: str, running: dict[str, SimulatorHandle]) -> None:
    _control(running[name], fault="reset", count=1)

    with pytest.raises(httpx.ReadError):
        _send(running[name], _request(name))


@pytest.mark.parametrize("name", FAULTED)
def test_huge_body_goes_beyond_the_cap_without_saying_so(
    name: str, running: dict[str, SimulatorHandle]
) -> None:
    _control(running[name], fault="huge_body", count=1)

    answer = _send(running[name], _request(name))

    assert "content-length" not in answer.headers
    assert len(answer.body) > 2 * TOOLS[name].answer_bytes_max


@pytest.mark.parametrize("name", FAULTED)
def test_gzip_bomb_is_small_on_the_wire_and_large_when_opened(
    name: str, running: dict[str, SimulatorHandle]
) -> None:
    _control(running[name], fault="gzip_bomb", count=1)

    with httpx.Client(trust_env=False, verify=False, timeout=5) as client:
        request = _request(name)
        url, headers = f"{running[name].url}/{request.path}", _shown(TOKEN)
        with client.stream(request.method, url, content=request.body, headers=headers) as answer:
            raw = b"".join(answer.iter_raw())

    assert answer.headers["content-encoding"] == "gzip"
    assert len(raw) < 1_000_000 < 100 * len(raw)


def test_a_fault_with_a_count_ends_by_itself(running: dict[str, SimulatorHandle]) -> None:
    handle, request = running["acme-sepsis"], _request("acme-sepsis")
    _control(handle, fault="http_503", count=2)

    statuses = [_send(handle, request).status for _ in range(3)]

    assert statuses == [503, 503, 200]


def test_a_fault_without_a_count_stays(running: dict[str, SimulatorHandle]) -> None:
    handle, request = running["acme-sepsis"], _request("acme-sepsis")
    _control(handle, fault="http_503", count=None)

    statuses = [_send(handle, request).status for _ in range(3)]

    assert statuses == [503, 503, 503]
    _control(handle, fault="off")


def test_control_counts_and_shows_what_was_received(running: dict[str, SimulatorHandle]) -> None:
    handle, request = running["acme-sepsis"], _request("acme-sepsis")
    _control(handle, fault="off")
    before = _state(handle)["calls"]

    for _ in range(RECEIVED_MAX + 3):
        _send(handle, request)
    state = _state(handle)

    assert state["calls"] == before + RECEIVED_MAX + 3
    assert len(state["received"]) == RECEIVED_MAX
    assert state["received"][-1]["id"].startswith(charts.SUBJECT)


def test_calls_at_the_same_time_have_numbers_of_their_own_and_reads_are_counted() -> None:
    """A job is named by its call: with one number for two, each caller gets the other's result."""
    numbers: list[int] = []

    def answer(request: SimRequest) -> SimResponse:
        numbers.append(request.call)
        return SimResponse(200, b"{}")

    async def work() -> State:
        vendor = Vendor(answer=answer, seed=1, bytes_cap=1000, bearer=None)
        server = SimulatorServer(vendor, latency_ms=30)
        listening, port = await server.listen(0)
        url = f"http://127.0.0.1:{port}/jobs"
        async with httpx.AsyncClient(trust_env=False) as client:
            posts = [client.post(url, content=b"{}") for _ in range(5)]
            await asyncio.gather(*posts, client.get(url))
        listening.close()
        return server.state

    state = asyncio.run(work())

    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    assert (state.calls, state.reads) == (6, 1)


def test_a_redirect_that_is_not_followed_makes_one_call(
    running: dict[str, SimulatorHandle],
) -> None:
    handle = running["acme-sepsis"]
    _control(handle, fault="redirect", count=1)
    before = _state(handle)["calls"]

    answer = _send(handle, _request("acme-sepsis"))

    assert answer.status == 307
    assert _state(handle)["calls"] == before + 1


def test_latency_is_kept_for_healthy_answers(running: dict[str, SimulatorHandle]) -> None:
    handle, request = running["acme-sepsis"], _request("acme-sepsis")
    _control(handle, fault="off", latency_ms=150)

    started = time.monotonic()
    _send(handle, request)

    assert time.monotonic() - started >= 0.15
    assert _control(handle, fault="off")["latency_ms"] == 20


@pytest.mark.parametrize("body", [b'{"fault": "explode"}', b"not json", b'{"count": -1}', b"[]"])
def test_a_control_body_that_makes_no_sense_is_refused(
    body: bytes, running: dict[str, SimulatorHandle]
) -> None:
    with httpx.Client(trust_env=False, verify=False) as client:
        assert client.post(running["acme-sepsis"].control, content=body).status_code == 400


@pytest.mark.parametrize(("name", "taken"), [("radnote-cxr", "ok"), ("nimbus-entities", "pending")])
def test_a_wrong_secret_is_unauthorised_and_the_right_one_is_not(
    name: str, taken: str, running: dict[str, SimulatorHandle]
) -> None:
    _control(running[name], fault="off")

    wrong = _send(running[name], _request(name), token="another")
    right = _send(running[name], _request(name))

    assert _http(name).classify_answer(TOOLS[name], wrong).answer_class == "unauthorised"
    assert _http(name).classify_answer(TOOLS[name], right).answer_class == taken


def test_a_service_that_lacks_what_it_needs_refuses(running: dict[str, SimulatorHandle]) -> None:
    name = "beacon-sepsis"
    _control(running[name], fault="off")
    chart = charts.ask(charts.number("8310-5", 38.1, "Cel"), charts.pressure(101))

    answer = _send(running[name], _http(name).build_request(TOOLS[name], chart))

    assert answer.status == 412
    assert _http(name).classify_answer(TOOLS[name], answer).answer_class == "refused"


def test_answers_are_computed_from_what_was_received(running: dict[str, SimulatorHandle]) -> None:
    for name in ("acme-sepsis", "beacon-sepsis"):
        _control(running[name], fault="off")
        risks = []
        for chart in (charts.well(), charts.septic()):
            request = _http(name).build_request(TOOLS[name], charts.ask(*chart))
            parsed = _parsed(name, _send(running[name], request))
            risks.append(next(f for f in parsed.findings if f.kind == "risk"))

        assert [risk.threshold_band for risk in risks] == ["low", "high"]


def test_two_models_differ_on_what_the_laboratory_shows(
    running: dict[str, SimulatorHandle],
) -> None:
    chart = (
        charts.number("8867-4", 84, "/min"),
        charts.number("9279-1", 16, "/min"),
        charts.number("8310-5", 36.9, "Cel"),
        charts.pressure(118),
        charts.number("6690-2", 17.0, "10*3/uL"),
        charts.number("2524-7", 4.4, "mmol/L"),
        charts.number("2160-0", 2.6, "mg/dL"),
    )
    bands = {}
    for name in ("acme-sepsis", "beacon-sepsis"):
        _control(running[name], fault="off")
        request = _http(name).build_request(TOOLS[name], charts.ask(*chart))
        bands[name] = _parsed(name, _send(running[name], request)).findings[0].threshold_band

    assert bands == {"acme-sepsis": "high", "beacon-sepsis": "low"}


def test_two_readers_differ_on_the_reach_of_a_negation(
    running: dict[str, SimulatorHandle],
) -> None:
    chart = charts.ask(charts.report("No pleural effusion or pneumothorax. Lungs are clear."))
    said = {}
    for name in ("lumen-cxr", "radnote-cxr"):
        _control(running[name], fault="off")
        answer = _send(running[name], _http(name).build_request(TOOLS[name], chart))
        parsed = _http(name).parse_findings(TOOLS[name], chart, answer)
        said[name] = {f.code.code: f.polarity for f in parsed.findings}

    assert said["lumen-cxr"]["J93.9"] == "present"
    assert said["radnote-cxr"]["J93.9"] == "absent"
    assert said["lumen-cxr"]["J90"] == said["radnote-cxr"]["J90"] == "absent"
