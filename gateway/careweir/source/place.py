"""The base URL of a FHIR server, and which other addresses count as the same server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

_LOOPBACK: Final = "127.0.0.1"
_PORTS: Final = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Place:
    """Scheme, host, port and path prefix; ``path`` has no slash at its end."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def read(cls, url: str) -> Place | None:
        """The place of a URL that the gateway may speak to: https, or http on 127.0.0.1."""
        parts = _parts(url)
        if parts is None or parts.hostname is None:
            return None
        if parts.scheme != "https" and (parts.scheme, parts.hostname) != ("http", _LOOPBACK):
            return None
        port = parts.port or _PORTS[parts.scheme]
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))

    @property
    def origin(self) -> str:
        """``scheme://host:port`` without a path."""
        default = self.port == _PORTS[self.scheme]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if default else f":{self.port}")

    @property
    def url(self) -> str:
        """The base URL without a slash at its end."""
        return self.origin + self.path

    @property
    def loopback(self) -> bool:
        """True for 127.0.0.1: the only place that may be spoken to without TLS."""
        return self.host == _LOOPBACK

    def may_trust(self, other: Place) -> bool:
        """Whether this server may name ``other``: TLS throughout, or loopback from loopback."""
        return other.scheme == "https" or self.loopback

    def below(self, link: str) -> str | None:
        """Path and query of a link, from the origin, if it stays on this base URL; else None.

        INVARIANT: a token never travels to another scheme, host, port or path prefix.
        """
        url = urljoin(f"{self.url}/", link)
        parts, other = _parts(url), Place.read(url)
        if parts is None or other is None:
            return None
        if (other.scheme, other.host, other.port) != (self.scheme, self.host, self.port):
            return None
        segments = unquote(unquote(parts.path)).replace("\\", "/").split("/")
        if "." in segments or ".." in segments:
            return None
        if parts.path != self.path and not parts.path.startswith(f"{self.path}/"):
            return None
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _parts(url: str) -> SplitResult | None:
    """The parts of a plain URL; None for one with a user, a fragment, or odd characters."""
    if not url.isascii() or any(char <= " " or char == "\x7f" for char in url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is not a number
    except ValueError:
        return None
    if parts.username is not None or parts.password is not None or parts.fragment:
        return None
    return parts
