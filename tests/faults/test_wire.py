"""Real sockets that misbehave, certificates that do not hold, names that lead elsewhere."""

from __future__ import annotations

import asyncio
import ssl
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from careweir.errors import ConfigInvalid
from careweir.fanout import VendorPool, Wire, read_networks, tls_of
from careweir.fanout.transport import ConnectionLost, EndpointRefused, NeverSent
from careweir.fanout.wire import may_connect
from careweir_kit.adapter import VendorRequest
from careweir_kit.errors import VendorError, VendorProtocolBroken
from careweir_kit.strict_json import JsonRefused, decode
from careweir_kit.tool import Tls
from support import proxy as faults
from support.inprocess import run
from support.proxy import Fault, proxy

REQUEST = VendorRequest("POST", "v1/ask", b"{}", {"content-type": "application/json"})
NOW = datetime.now(UTC)


async def ask(
    url: str, *, wire: Wire | None = None, deadline_s: float = 5, bytes_max: int = 1000
) -> Any:
    pool = VendorPool(headers={}, wire=wire or Wire())
    try:
        async with asyncio.timeout(deadline_s):
            return await pool.send(url, REQUEST, bytes_max=bytes_max)
    finally:
        await pool.close()


@pytest.mark.parametrize("fault", [faults.drip_body, faults.drip_head, faults.hang])
def test_a_body_or_head_that_drips_is_cut_at_the_deadline(fault: Fault) -> None:
    async def work() -> float:
        loop = asyncio.get_running_loop()
        async with proxy(fault) as vendor:
            began = loop.time()
            with pytest.raises(TimeoutError):
                await ask(vendor.url(), deadline_s=0.4)
            assert len(vendor.requests) == 1
            return loop.time() - began

    assert 0.3 < run(work()) < 2.4  # far below the 50 s that the drip lasts; no tight bound here


@pytest.mark.parametrize(
    "fault",
    [
        faults.reset_at_once,
        faults.reset_mid_body,
        faults.half_body,
        faults.length_too_short,
        faults.two_lengths,
        faults.broken_chunks,
        faults.no_http,
    ],
)
def test_an_answer_that_breaks_off_is_lost_and_never_read_in_part(fault: Fault) -> None:
    async def work() -> int:
        async with proxy(fault, body=b'{"risk": 0.1}') as vendor:
            with pytest.raises(VendorError) as caught:
                await ask(vendor.url())
            assert not isinstance(caught.value, NeverSent), "it may have been taken"
            return len(vendor.requests)

    assert run(work()) == 1


@pytest.mark.parametrize("cap", [1_000_000, 16_000_000])
def test_an_endless_body_takes_no_more_memory_than_the_cap_and_ten_megabytes(cap: int) -> None:
    async def work() -> int:
        async with proxy(faults.endless) as vendor:
            tracemalloc.start()
            try:
                with pytest.raises(VendorProtocolBroken):
                    await ask(vendor.url(), bytes_max=cap, deadline_s=20)
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    assert run(work()) <= cap + 10_000_000


def test_a_document_of_very_many_members_is_refused() -> None:
    few, many = b"[" + b"0," * 400_000 + b"0]", b"[" + b"0," * 1_000_000 + b"0]"

    assert len(decode(few)) == 400_001
    with pytest.raises(JsonRefused):
        decode(many)


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("10.0.0.1", False),
        ("172.16.3.4", False),
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("fd00::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("2002:0a00:0001::", False),
        ("10.20.3.4", True),
        ("::ffff:10.20.3.4", True),
        ("10.9.9.9", True),
        ("169.254.169.254", False),
        ("::ffff:169.254.169.254", False),
        ("224.0.0.1", False),
    ],
)
def test_which_addresses_may_be_connected(address: str, allowed: bool) -> None:
    networks = read_networks("10.20.0.0/16, 169.254.0.0/16")
    named = frozenset({"10.9.9.9", "169.254.169.254"})

    assert may_connect(address, named=named, networks=networks) is allowed


def test_a_list_of_networks_that_is_none_refuses_to_start() -> None:
    assert read_networks("") == ()
    with pytest.raises(ConfigInvalid):
        read_networks("10.0.0.0/8, intranet")


def test_a_name_that_leads_to_a_private_address_is_refused_before_a_byte_leaves() -> None:
    async def work() -> int:
        async with proxy(faults.well) as vendor:
            with pytest.raises(EndpointRefused):
                await ask(vendor.url("localhost"))
            before = len(vendor.requests)
            allowed = Wire(read_networks("127.0.0.0/8, ::1/128"))
            assert (await ask(vendor.url("localhost"), wire=allowed)).status == 200
            return before

    assert run(work()) == 0


def test_a_name_that_changes_between_two_look_ups_gains_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The check is made on the address that is connected, not on one that was looked up before."""
    looked_up: list[str] = []

    async def rebinding(self: Any, host: str, port: int = 0, family: Any = 0) -> list[Any]:
        at = "93.184.216.34" if not looked_up else "127.0.0.1"
        looked_up.append(at)
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 6,
                 "flags": 0}]  # fmt: skip

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", rebinding)
    monkeypatch.setattr(aiohttp.DefaultResolver, "resolve", rebinding)

    async def work() -> int:
        async with proxy(faults.well) as vendor:
            for _ in range(2):
                with pytest.raises(EndpointRefused):
                    await ask(vendor.url("vendor.example"))
            return len(vendor.requests)

    assert run(work()) == 0
    assert looked_up


def test_a_name_that_does_not_exist_is_known_to_have_sent_nothing() -> None:
    with pytest.raises(NeverSent):
        run(ask("https://no-such-host.invalid", deadline_s=20))


@given(path=st.text(max_size=60))
def test_no_path_of_an_adapter_changes_the_host(path: str) -> None:
    base = "https://vendor.example:8443/api"
    target = f"{base.rstrip('/')}/{path.lstrip('/')}"

    assert target.startswith("https://vendor.example:8443/api/")
    assert urlsplit(base + "/x").netloc == "vendor.example:8443"


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def folder(tmp_path: Path, authority: trustme.CA) -> Path:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path


def server_tls(authority: trustme.CA, host: str = "127.0.0.1", **more: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, **more).configure_cert(context)
    return context


def trusting(folder: Path, **more: str) -> Wire:
    return Wire((), tls_of("t", Tls(ca="ca.pem", **more), folder, now=NOW))


def test_a_certificate_of_a_trusted_authority_is_accepted(
    folder: Path, authority: trustme.CA
) -> None:
    async def work() -> Any:
        async with proxy(faults.well, tls=server_tls(authority)) as vendor:
            return (await ask(vendor.url(), wire=trusting(folder))).status

    assert run(work()) == 200


@pytest.mark.parametrize("why", ["expired", "unknown authority", "another host", "old protocol"])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_a_certificate_that_does_not_hold_is_refused_before_a_byte_leaves(
    folder: Path, authority: trustme.CA, why: str
) -> None:
    tls = {
        "expired": lambda: server_tls(authority, not_after=NOW - timedelta(days=1)),
        "unknown authority": lambda: server_tls(trustme.CA()),
        "another host": lambda: server_tls(authority, "other.example"),
        "old protocol": lambda: server_tls(authority),
    }[why]()
    if why == "old protocol":
        tls.minimum_version = ssl.TLSVersion.TLSv1
        tls.maximum_version = ssl.TLSVersion.TLSv1_1

    async def work() -> int:
        async with proxy(faults.well, tls=tls) as vendor:
            with pytest.raises((EndpointRefused, NeverSent)) as caught:
                await ask(vendor.url(), wire=trusting(folder))
            assert why == "old protocol" or isinstance(caught.value, EndpointRefused)
            return len(vendor.requests)

    assert run(work()) == 0


def test_a_vendor_that_asks_for_our_certificate_gets_it_and_refuses_without(
    folder: Path, authority: trustme.CA
) -> None:
    ours = authority.issue_cert("careweir.example")
    ours.private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))
    tls = server_tls(authority)
    tls.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(tls)

    async def work() -> int:
        async with proxy(faults.well, tls=tls) as vendor:
            with pytest.raises((ConnectionLost, EndpointRefused)):
                await ask(vendor.url(), wire=trusting(folder))
            assert not vendor.requests
            shown = trusting(folder, client_certificate="client.pem")
            return int((await ask(vendor.url(), wire=shown)).status)

    assert run(work()) == 200


def test_a_client_certificate_that_cannot_be_used_stops_the_start(
    folder: Path, authority: trustme.CA
) -> None:
    old = authority.issue_cert("careweir.example", not_after=NOW - timedelta(days=1))
    old.private_key_and_cert_chain_pem.write_to_path(str(folder / "old.pem"))
    (folder / "junk.pem").write_text("no certificate")

    for name, words in (("none.pem", "not in"), ("old.pem", "expired"), ("junk.pem", "used")):
        with pytest.raises(ConfigInvalid, match=words):
            trusting(folder, client_certificate=name)
    with pytest.raises(ConfigInvalid, match="not in"):
        tls_of("t", Tls(ca="ca.pem"), None, now=NOW)
