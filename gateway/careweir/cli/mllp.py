"""``careweir mllp``: a listener for HL7 v2 senders that speak MLLP only."""

from __future__ import annotations

import asyncio
import signal
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import httpx
import typer

from careweir.cli.out import Refused, say
from careweir.errors import ConfigInvalid
from careweir.fanout.wire import Network, read_networks
from careweir.log import configure
from careweir.mllp import Bridge
from careweir.webhook import secret_bytes
from careweir.wiring.overrides import utc_now

TIMEOUT_S = 30.0


def mllp(
    tool: Annotated[str, typer.Option(help="Whose results come here: a tool with `push.secret`.")],
    secret: Annotated[Path, typer.Option(help="File with that secret.")],
    gateway: Annotated[str, typer.Option(help="The gateway.")] = "http://127.0.0.1:8080",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 2575,
    peers: Annotated[str, typer.Option(help="Networks that may connect: 10.1.2.0/24, …")] = "",
    certificate: Annotated[Path | None, typer.Option(help="TLS: our certificate, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS: its key, PEM.")] = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="TLS: only senders with a certificate of this CA.")
    ] = None,
) -> None:
    """Take HL7 v2 results over MLLP and hand them to the gateway, one tool a listener.

    MLLP has no identity. Beyond this machine it needs --client-ca, or --peers on a network that
    is trusted. The sender gets the gateway's acknowledgement; without one the connection closes,
    and the sender sends again.

    Example: careweir mllp --tool relay-cxr --secret secrets/relay-push --port 2575
    """
    configure(json=True)
    networks = None if client_ca else _networks(peers, host)
    tls = _tls(certificate, key, client_ca)
    try:
        held = secret_bytes(secret.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        raise Refused(f"{secret}: the secret cannot be read") from None
    asyncio.run(_serve(gateway, tool, held, networks, host, port, tls))


def _networks(peers: str, host: str) -> tuple[Network, ...]:
    try:
        networks = read_networks(peers)
    except ConfigInvalid:
        raise Refused("--peers: not a list of networks") from None
    if not networks and not _here_only(host):
        raise Refused("say who may send: --client-ca or --peers, or listen on 127.0.0.1")
    return networks


def _here_only(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls(
    certificate: Path | None, key: Path | None, client_ca: Path | None
) -> ssl.SSLContext | None:
    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        raise Refused("TLS needs --certificate and --key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError):
        raise Refused("the certificate, its key or the CA cannot be used") from None
    return context


async def _serve(
    gateway: str,
    tool: str,
    secret: bytes,
    networks: tuple[Network, ...] | None,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
) -> None:
    ended = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, ended.set)
    async with httpx.AsyncClient(base_url=gateway, timeout=TIMEOUT_S, trust_env=False) as client:
        bridge = Bridge(client, tool=tool, secret=secret, peers=networks, clock=utc_now)
        try:
            server = await bridge.listen(host, port, tls)
        except OSError:
            raise Refused(f"cannot listen on {host}:{port}") from None
        async with server:
            say(f"listening on {host}:{server.sockets[0].getsockname()[1]} for {tool}")
            await ended.wait()
