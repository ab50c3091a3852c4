"""A receiver hears once, signed, and again only until it has taken it."""

from __future__ import annotations

import hmac
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import orjson
import pytest

from adjudication.world import SECRET, World, actor, pneumothorax, world
from careweir.adjudication import load_adjudication
from careweir.errors import ConfigInvalid, PolicyInvalid
from careweir.paths import policies_dir
from careweir_fhir.model import Coding, Finding


class Receiver:
    """A webhook's receiver on loopback."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers.items()), body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts"


@pytest.fixture(scope="module")
def listening() -> Iterator[Receiver]:
    found = Receiver()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def _config(folder: Path, url: str) -> Path:
    shutil.copytree(policies_dir(None), folder)
    path = folder / "adjudication.yaml"
    path.write_text(path.read_text().replace("url: null", f"url: {url}"))
    return folder


@pytest.fixture(scope="module")
def alarming(tmp_path_factory: pytest.TempPathFactory, listening: Receiver) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("alerts")
    with world(folder / "data", _config(folder / "policies", listening.url)) as found:
        yield found


@pytest.fixture
def receiver(listening: Receiver) -> Receiver:
    listening.status = 200
    listening.got.clear()
    return listening


@pytest.fixture
def here(alarming: World, receiver: Receiver) -> World:
    alarming.forget()
    return alarming


def _deliver(here: World) -> int:
    count: int = here.run(here.adjudication.alerts.deliver())
    return count


def test_a_grave_conflict_is_posted_once_signed_and_without_a_clinical_word(
    here: World, receiver: Receiver
) -> None:
    for _ in range(2):
        here.answer(pneumothorax("lumen-cxr"), pneumothorax("radnote-cxr", "absent"))

    assert (_deliver(here), _deliver(here)) == (1, 0)

    [(headers, body)] = receiver.got
    event = orjson.loads(body)
    assert (event["event"], event["severity"]) == ("opened", "high")
    assert event["link"] == f"/console/conflicts/{event['conflict']}"
    assert b"pneumothorax" not in body
    assert b"Patient" not in body
    moment, signature = headers["Careweir-Signature"].split(",")
    signed = moment.removeprefix("t=").encode() + b"." + body
    assert signature == "v1=" + hmac.digest(SECRET.encode(), signed, "sha256").hex()


def test_it_is_tried_again_later_until_it_is_taken(here: World, receiver: Receiver) -> None:
    receiver.status = 503
    here.answer(pneumothorax("lumen-cxr"), pneumothorax("radnote-cxr", "absent"))
    assert _deliver(here) == 0
    assert _deliver(here) == 0
    assert len(receiver.got) == 1  # not before its time

    here.clock.tick(seconds=6)
    receiver.status = 204
    assert _deliver(here) == 1
    ids = {headers["Careweir-Event"] for headers, _ in receiver.got}
    assert (len(receiver.got), len(ids)) == (2, 1)


def test_after_so_many_attempts_it_is_given_up(here: World, receiver: Receiver) -> None:
    receiver.status = 500
    here.answer(pneumothorax("lumen-cxr"), pneumothorax("radnote-cxr", "absent"))
    for _ in range(14):
        _deliver(here)
        here.clock.tick(hours=2)

    assert len(receiver.got) == 10


def test_advice_of_two_capabilities_that_contradicts_is_an_alert_of_the_portfolio(
    here: World, receiver: Receiver
) -> None:
    def advice(tool: str, action: str) -> Finding:
        drug = Coding(display="furosemide")
        return Finding(tool=tool, kind="recommendation", code=drug, target=drug, action=action,
                       encounter="Encounter/e1")  # fmt: skip

    physician = actor("ed-physician")
    here.answer(advice("acme-sepsis", "increase"), capability="sepsis-risk", who=physician)
    here.answer(advice("lumen-cxr", "decrease"), who=physician)
    _deliver(here)

    [(_, body)] = receiver.got
    event = orjson.loads(body)
    assert event["type"] == "recommendation_contradiction"
    assert event["severity"] == "moderate"
    assert event["across_capabilities"] is True
    assert event["capabilities"] == ["chest-xray-findings", "sepsis-risk"]


def test_a_small_conflict_alarms_nobody(here: World, receiver: Receiver) -> None:
    effusion = Coding(display="pleural effusion")
    here.answer(
        pneumothorax("lumen-cxr", code=effusion),
        pneumothorax("radnote-cxr", "absent", code=effusion),
    )

    assert len(here.rows()) == 1
    assert _deliver(here) == 0


def test_escalation_is_an_event_of_its_own(here: World, receiver: Receiver) -> None:
    here.answer(pneumothorax("lumen-cxr"), pneumothorax("radnote-cxr", "absent"))
    here.clock.tick(hours=2)
    here.run(here.adjudication.desk.sweep())
    _deliver(here)

    events = [orjson.loads(body)["event"].partition(".")[0] for _, body in receiver.got]
    assert sorted(events) == ["escalated", "opened"]


def test_a_webhook_over_plain_http_is_refused_at_start(tmp_path: Path) -> None:
    config = _config(tmp_path / "policies", "http://pager.example/x")

    with pytest.raises(ConfigInvalid, match="must be https"), world(tmp_path / "data", config):
        pass


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("escalate_to: safety-board", "escalate_to: nobody", "escalate_to is no queue"),
        ("remember_h: 72", "remember_h: -1", "remember_h"),
        ("keep_days: 400", "keep_dayz: 400", "keep_day"),
        ("preferred: prefer", "preferred: nonsense", "unknown verdict"),
        ("high: 60, ", "", "every severity"),
    ],
)
def test_a_spoiled_policy_is_refused_by_place(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = (policies_dir(None) / "adjudication.yaml").read_text()
    assert old in text
    path = tmp_path / "adjudication.yaml"
    path.write_text(text.replace(old, new, 1))

    with pytest.raises(PolicyInvalid, match=words):
        load_adjudication(path)
