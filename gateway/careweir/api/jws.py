"""One signed token, taken apart strictly; nothing of it is believed before its signature holds.

What a general JOSE library leaves to its caller and is decided here: a header or a payload in
which a key occurs twice is refused (two readers would read two tokens), headers that bring or name
a key are refused, and the key is picked by ``kid``, kind, use and strength, never by what the token
says about it.

Source: RFC 7515 (JWS), RFC 8725 (JWT best practices), sections 3.1 to 3.12.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from careweir.errors import NotAuthenticated
from careweir_kit.strict_json import JsonRefused, decode

TOKEN_BYTES_MAX: Final = 8192
RSA_BITS_MIN: Final = 2048
DEPTH_MAX: Final = 8  # of a header or of claims
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_KINDS: Final = {
    "RS256": ("RSA", None), "RS384": ("RSA", None), "PS256": ("RSA", None), "PS384": ("RSA", None),
    "ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"),
    "EdDSA": ("OKP", "Ed25519"), "Ed25519": ("OKP", "Ed25519"),
}  # fmt: skip
ALGORITHMS: Final = tuple(_KINDS)
# They bring a key, name where one is, or say that the payload is not what it seems.
_REFUSED: Final = frozenset({"jwk", "jku", "x5c", "x5u", "crit", "b64", "cty", "zip", "enc"})
PublicKey = RSAKey | ECKey | OKPKey


@dataclass(frozen=True, slots=True)
class Opened:
    """A token whose parts can be read. ``claims`` are hearsay until ``check_signature``."""

    token: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @property
    def kid(self) -> str:
        """The name of its key."""
        return str(self.header["kid"])


def bearer(authorization: str | None) -> str:
    """The one token of an Authorization header, of the right shape and a bounded size."""
    if not authorization:
        raise NotAuthenticated("send Authorization: Bearer")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or len(token) > TOKEN_BYTES_MAX or not _TOKEN.fullmatch(token):
        raise NotAuthenticated("send one bearer token")
    return token


def opened(token: str, *, jku: str | None = None) -> Opened:
    """Take a token of ``bearer`` apart; raises NotAuthenticated.

    ``jku``: the one address that a ``jku`` header may repeat; the keys come from where the
    configuration says, whatever it holds.
    """
    parts = token.split(".")
    header, claims = _object(parts[0]), _object(parts[1])
    kid, alg = header.get("kid"), header.get("alg")
    if not isinstance(kid, str) or not 0 < len(kid) <= 200:
        raise NotAuthenticated("the token's header needs a kid")
    if not isinstance(alg, str) or alg not in _KINDS:
        raise NotAuthenticated("the token's algorithm is not accepted here")
    told = header.keys() & _REFUSED
    if told and not (told == {"jku"} and jku is not None and header["jku"] == jku):
        raise NotAuthenticated("the token's header is not acceptable")
    return Opened(token, header, claims)


def issuer_said(token: str) -> str | None:
    """Whom a token says that it is from, to find the keys that may prove it."""
    try:
        issuer = _object(token.split(".")[1]).get("iss")
    except NotAuthenticated:
        return None
    return issuer if isinstance(issuer, str) else None


def check_signature(token: Opened, keys: KeySet) -> None:
    """Raise NotAuthenticated unless exactly one key of the set may, and does, verify the token."""
    key, algorithm = _key(token, keys), JWSRegistry.algorithms[token.header["alg"]]
    signed, _, signature = token.token.rpartition(".")
    try:
        holds = algorithm.verify(signed.encode(), _bytes(signature), key)
    except (JoseError, ValueError, TypeError):
        holds = False
    if not holds:
        raise NotAuthenticated("the token's signature does not hold")


def _key(token: Opened, keys: KeySet) -> PublicKey:
    alg = token.header["alg"]
    fit = [key for key in keys.keys if key.kid == token.kid and fits(key, alg)]
    if len(fit) != 1:
        raise NotAuthenticated("the token's signature does not hold")
    key = fit[0]
    assert isinstance(key, RSAKey | ECKey | OKPKey)
    return key


def fits(key: object, alg: str) -> bool:
    """May this key verify this algorithm: its kind, curve, strength, and what it is meant for."""
    if not isinstance(key, RSAKey | ECKey | OKPKey):
        return False
    kind, curve = _KINDS[alg]
    meant: Mapping[str, Any] = key.as_dict(private=False)
    strong = not isinstance(key, RSAKey) or _bits(key) >= RSA_BITS_MIN
    return (
        key.key_type == kind
        and curve in (None, meant.get("crv"))
        and strong
        and meant.get("use", "sig") == "sig"
        and "verify" in meant.get("key_ops", ("verify",))
        and meant.get("alg", alg) == alg
    )


def _bits(key: RSAKey) -> int:
    public = key.public_key
    return public.key_size if isinstance(public, RSAPublicKey) else 0


def _object(text: str) -> Mapping[str, Any]:
    """A part of a token as a JSON object; a key that occurs twice is refused."""
    try:
        value = decode(_bytes(text), depth_max=DEPTH_MAX)
    except (ValueError, JsonRefused):
        value = None
    if not isinstance(value, dict):
        raise NotAuthenticated("the token cannot be read")
    return value


def _bytes(text: str) -> bytes:
    """What a part of a token stands for; ValueError when it is not base64url."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
