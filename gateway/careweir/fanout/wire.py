"""Whom we connect to, checked on the very address that is connected, and with which TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from careweir.errors import ConfigInvalid
from careweir_kit.tool import Tls

Network = Any  # ipaddress.IPv4Network | IPv6Network: ``in`` takes either kind of address
Address = IPv4Address | IPv6Address
NAT64: Final = IPv6Network("64:ff9b::/96")


class AddressRefused(OSError):
    """The name led to an address that we do not connect to."""


def refused_address(error: OSError) -> bool:
    """Was it our own refusal that ended a connection?"""
    inner = getattr(error, "exceptions", ())
    return isinstance(error, AddressRefused) or any(isinstance(e, AddressRefused) for e in inner)


@dataclass(frozen=True, slots=True)
class Wire:
    """Private networks that may be connected to, and the TLS to speak (None: the system's)."""

    networks: tuple[Network, ...] = ()
    tls: ssl.SSLContext | None = None


def read_networks(text: str) -> tuple[Network, ...]:
    """``10.20.0.0/16, fd00::/8`` as networks; raises ConfigInvalid."""
    try:
        return tuple(ip_network(one.strip()) for one in text.split(",") if one.strip())
    except ValueError:
        raise ConfigInvalid("CAREWEIR_PRIVATE_NETWORKS: not a list of networks") from None


def may_connect(address: str, *, named: frozenset[str], networks: tuple[Network, ...]) -> bool:
    """Public addresses, configured networks, and addresses that a tool file names literally.

    Link-local addresses, where clouds keep their metadata, never; a name that leads to a private
    address only with its network in the settings. What is wrapped in IPv6 is judged unwrapped.
    """
    found = _unwrapped(ip_address(address.partition("%")[0]))
    if found.is_link_local or found.is_multicast or found.is_unspecified:
        return False
    if found.is_global or str(found) in named:
        return True
    return any(found in network for network in networks if network.version == found.version)


def _unwrapped(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in NAT64:
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def checking_sockets(allowed: Callable[[str], bool]) -> Callable[[Any], socket.socket]:
    """Makes the sockets of a connector: one for each address that it is about to connect."""

    def make(info: Any) -> socket.socket:
        family, kind, protocol, _, place = info
        if not allowed(str(place[0])):
            raise AddressRefused("the address is not allowed")
        return socket.socket(family, kind, protocol)

    return make


def tls_of(tool: str, tls: Tls, folder: Path | None, *, now: datetime) -> ssl.SSLContext:
    """TLS of one tool: its own CA, its client certificate; raises ConfigInvalid at the start."""

    def file(name: str) -> Path:
        path = folder / name if folder else None
        if path is None or not path.is_file():
            raise ConfigInvalid(f"{tool}.yaml: tls: {name} is not in the secrets folder")
        return path

    ca = file(tls.ca) if tls.ca else None
    try:
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.client_certificate:
            certificate = file(tls.client_certificate)
            context.load_cert_chain(certificate, file(tls.client_key or tls.client_certificate))
            _still_valid(tool, certificate.read_bytes(), now)
    except (ssl.SSLError, OSError, ValueError):
        raise ConfigInvalid(f"{tool}.yaml: tls: a certificate or key cannot be used") from None
    return context


def _still_valid(tool: str, pem: bytes, now: datetime) -> None:
    until = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    if until <= now.astimezone(UTC):
        raise ConfigInvalid(f"{tool}.yaml: tls: the client certificate has expired")
