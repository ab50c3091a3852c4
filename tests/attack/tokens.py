"""Tokens that must not hold, as functions that make them; beside each the one that does."""

from __future__ import annotations

import hmac
import json
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwe
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
T = int(NOW.timestamp())
EC = ECKey.generate_key("P-256", {"kid": "k1"}, private=True)
RSA = RSAKey.generate_key(2048, {"kid": "r1"}, private=True)
ED = OKPKey.generate_key("Ed25519", {"kid": "e1"}, private=True)
STRANGER = ECKey.generate_key("P-256", {"kid": "k1"}, private=True)
STRANGER_RSA = RSAKey.generate_key(2048, {"kid": "r1"}, private=True)
ENCRYPTING = RSAKey.generate_key(2048, {"kid": "enc1", "use": "enc"}, private=True)
ROTATED = ECKey.generate_key("P-256", {"kid": "k0"}, private=True)
with warnings.catch_warnings(action="ignore", category=SecurityWarning):
    WEAK = RSAKey.generate_key(1024, {"kid": "weak1"}, private=True)
TWINS = [ECKey.generate_key("P-256", {"kid": "twin"}, private=True) for _ in range(2)]
SECRET = b"correct horse battery staple, thirty-two"


def public(key: Any) -> dict[str, Any]:
    """What an issuer publishes of a key."""
    return dict(key.as_dict(private=False))


def b64(value: bytes | str | dict[str, Any]) -> str:
    """One part of a token."""
    raw = json.dumps(value) if isinstance(value, dict) else value
    return urlsafe_b64encode(raw.encode() if isinstance(raw, str) else raw).rstrip(b"=").decode()


# What the issuer publishes: good keys, and keys that must never verify an access token.
JWKS = {
    "keys": [
        *(public(key) for key in (EC, RSA, ED, ENCRYPTING, WEAK, *TWINS)),
        {"kty": "oct", "kid": "oct1", "k": b64(SECRET)},
        {**public(EC), "kid": "off-curve", "y": public(EC)["x"]},
        {"kty": "AKP", "kid": "later", "alg": "ML-DSA-44", "pub": "AAAA"},
    ]
}
CLAIMS: dict[str, Any] = {
    "iss": "https://id.example", "aud": "careweir", "sub": "Practitioner/7", "client_id": "ehr",
    "jti": "t1", "iat": T, "exp": T + 300, "scope": "capability/*.infer", "role": "ed-physician",
    "purposes": ["TREAT"], "site": "north",
}  # fmt: skip
Attack = Callable[[], str]


def without(values: dict[str, Any]) -> dict[str, Any]:
    """All but what is ``...``."""
    return {name: value for name, value in values.items() if value is not ...}


def raw_signed(header: str, payload: str | bytes, key: Any, alg: str) -> str:
    """A true signature over parts that no library would write."""
    signing = f"{b64(header)}.{b64(payload)}".encode()
    if isinstance(key, bytes):
        return f"{signing.decode()}.{b64(hmac.digest(key, signing, 'sha256'))}"
    return f"{signing.decode()}.{b64(JWSRegistry.algorithms[alg].sign(signing, key))}"


def token(
    key: Any = EC, alg: str = "ES256", header: dict[str, Any] | None = None, **changes: Any
) -> str:
    """The good token, with changes; ``...`` takes a claim or a header away."""
    kid = "r1" if isinstance(key, bytes) else key.kid
    full = without({"alg": alg, "kid": kid, "typ": "at+jwt"} | (header or {}))
    return raw_signed(json.dumps(full), json.dumps(without(CLAIMS | changes)), key, alg)


def claims_text(text: str) -> str:
    """A truly signed token whose payload is this text."""
    return raw_signed(json.dumps({"alg": "ES256", "kid": "k1"}), text, EC, "ES256")


def header_text(text: str) -> str:
    """A truly signed token whose header is this text."""
    return raw_signed(text, json.dumps(CLAIMS), EC, "ES256")


def unsigned(alg: str, signature: str = "") -> str:
    """A token that says that it needs no signature."""
    return f"{b64({'alg': alg, 'kid': 'k1'})}.{b64(CLAIMS)}.{signature}"


def keyed_with_public(form: str) -> str:
    """The RSA public key, which everybody has, as the secret of an HMAC."""
    known = RSA.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    secret = known if form == "pem" else json.dumps(public(RSA)).encode()
    return token(secret, "HS256")


def nested() -> str:
    """A good token inside another."""
    header = json.dumps({"alg": "ES256", "kid": "k1", "cty": "JWT"})
    return raw_signed(header, token(), EC, "ES256")


def encrypted() -> str:
    """A JWE to a key of the issuer: five parts."""
    header = {"alg": "RSA-OAEP", "enc": "A128GCM", "kid": "r1"}
    return jwe.encrypt_compact(header, json.dumps(CLAIMS), RSA)


def changed_after() -> str:
    """Claims that were changed under a true signature."""
    head, _, signature = token().split(".")
    return f"{head}.{b64(CLAIMS | {'role': 'auditor'})}.{signature}"


def der_signature() -> str:
    """The right signature in the wrong form (ASN.1 instead of r and s side by side)."""
    signing, private = token().rpartition(".")[0], EC.private_key
    assert private is not None
    return f"{signing}.{b64(private.sign(signing.encode(), ECDSA(SHA256())))}"


IUA = {"subject_role": [{"code": "ed-physician"}], "purpose_of_use": [{"code": "TREAT"}]}
HTTP = "https://evil.example/keys"

FORGED: dict[str, Attack] = {
    "alg none": lambda: unsigned("none"),
    "alg none with a signature": lambda: unsigned("none", "AAAA"),
    "alg None": lambda: unsigned("None", "AAAA"),
    "alg nOnE": lambda: unsigned("nOnE", "AAAA"),
    "no alg": lambda: header_text('{"kid": "k1"}'),
    "alg as a list": lambda: header_text('{"alg": ["ES256"], "kid": "k1"}'),
    "alg es256 in small letters": lambda: header_text('{"alg": "es256", "kid": "k1"}'),
    "HS256 keyed with the public key as PEM": lambda: keyed_with_public("pem"),
    "HS256 keyed with the public key as JWK": lambda: keyed_with_public("jwk"),
    "HS256 with a secret that the issuer published": lambda: token(
        SECRET, "HS256", {"kid": "oct1"}
    ),
    "RS256 under a stranger's key": lambda: token(STRANGER_RSA, "RS256"),
    "ES256 under a stranger's key of the same kid": lambda: token(STRANGER),
    "RS256 said of an EC key": lambda: token(RSA, "RS256", {"kid": "k1"}),
    "RS512, which is not on the list": lambda: token(RSA, "RS512"),
    "a key of 1024 bits": lambda: token(WEAK, "RS256"),
    "a key that is for encryption": lambda: token(ENCRYPTING, "RS256"),
    "a key that was rotated away": lambda: token(ROTATED),
    "two keys of the same kid": lambda: token(TWINS[0]),
    "a key whose point is not on its curve": lambda: token(header={"kid": "off-curve"}),
    "no kid": lambda: token(header={"kid": ...}),
    "an empty kid": lambda: token(header={"kid": ""}),
    "a kid that is a number": lambda: token(header={"kid": 1}),
    "a kid that is a path": lambda: token(header={"kid": "../../../../dev/null"}),
    "a kid that is a query": lambda: token(header={"kid": "k1' OR '1'='1"}),
    "a kid that is an address": lambda: token(header={"kid": HTTP}),
    "a kid with a null byte": lambda: token(header={"kid": "k1\x00"}),
    "a kid of ten thousand letters": lambda: token(header={"kid": "k" * 5000}),
    "jku": lambda: token(STRANGER, header={"jku": HTTP}),
    "jku beside a true signature": lambda: token(header={"jku": HTTP}),
    "x5u": lambda: token(header={"x5u": HTTP}),
    "x5c": lambda: token(header={"x5c": ["AAAA"]}),
    "jwk, a key that the token brings": lambda: token(STRANGER, header={"jwk": public(STRANGER)}),
    "crit": lambda: token(header={"crit": ["exp"]}),
    "an empty crit": lambda: token(header={"crit": []}),
    "b64 false": lambda: token(header={"b64": False, "crit": ["b64"]}),
    "zip": lambda: token(header={"zip": "DEF"}),
    "a token in a token": nested,
    "an encrypted token": encrypted,
    "another kind of token": lambda: token(header={"typ": "logout+jwt"}),
    "typ as a list": lambda: token(header={"typ": ["JWT"]}),
    "kid twice": lambda: header_text('{"alg": "ES256", "kid": "k1", "kid": "k1"}'),
    "alg twice": lambda: header_text('{"alg": "none", "alg": "ES256", "kid": "k1"}'),
    "a header that is a list": lambda: header_text('["ES256"]'),
    "a header that is no JSON": lambda: header_text("alg=ES256"),
    "claims changed after": changed_after,
    "a signature cut off": lambda: token().rpartition(".")[0] + ".",
    "a signature of zeros": lambda: token().rpartition(".")[0] + "." + b64(bytes(64)),
    "a signature as ASN.1": der_signature,
    "padding": lambda: token() + "==",
    "the other base64": lambda: token().replace(".", "+.", 1),
    "a space behind it": lambda: token() + " ",
    "a tab before it": lambda: "\t" + token(),
    "a line break within": lambda: token().replace(".", ".\n", 1),
    "another token behind it": lambda: f"{token()},{token()}",
    "a fourth part": lambda: token() + ".AAAA",
    "letters that look the same": lambda: token().replace("e", "\u0435", 1),
    "nine thousand letters": lambda: token(note="x" * 9000),
}

CLAIMED: dict[str, Attack] = {
    "expired": lambda: token(iat=T - 4000, exp=T - 61),
    "expired at the very end of the leeway": lambda: token(exp=T - 60, iat=T - 100),
    "no exp": lambda: token(exp=...),
    "exp as text": lambda: token(exp=str(T + 300)),
    "exp true": lambda: token(exp=True),
    "exp beyond every date": lambda: token(exp=10**30),
    "exp of four hundred digits": lambda: claims_text('{"exp": 1' + "0" * 400 + "}"),
    "exp infinite": lambda: claims_text('{"exp": 1e999}'),
    "exp before iat": lambda: token(iat=T, exp=T - 1),
    "lives for ten years": lambda: token(exp=T + 315_360_000),
    "no iat": lambda: token(iat=...),
    "iat in the future": lambda: token(iat=T + 120, exp=T + 300),
    "iat negative": lambda: token(iat=-1),
    "nbf in the future": lambda: token(nbf=T + 120),
    "nbf as text": lambda: token(nbf="now"),
    "another audience": lambda: token(aud="billing"),
    "a list of audiences with ours in it": lambda: token(aud=["careweir", "billing"]),
    "a list of our audience alone": lambda: token(aud=["careweir"]),
    "our audience in capitals": lambda: token(aud="Careweir"),
    "no audience": lambda: token(aud=...),
    "another issuer": lambda: token(iss="https://evil.example"),
    "our issuer with a slash behind it": lambda: token(iss="https://id.example/"),
    "our issuer as a prefix": lambda: token(iss="https://id.example.evil.example"),
    "our issuer in capitals": lambda: token(iss="https://ID.example"),
    "our issuer in a list": lambda: token(iss=["https://id.example"]),
    "no issuer": lambda: token(iss=...),
    "no subject": lambda: token(sub=...),
    "an empty subject": lambda: token(sub=""),
    "a subject that is an object": lambda: token(sub={"$ne": ""}),
    "a subject with a line break": lambda: token(sub="Practitioner/7\r\nX-Role: auditor"),
    "no client": lambda: token(client_id=...),
    "two clients": lambda: token(azp="another"),
    "sub twice": lambda: claims_text(json.dumps(CLAIMS)[:-1] + ', "sub": "Practitioner/8"}'),
    "role twice": lambda: claims_text(json.dumps(CLAIMS)[:-1] + ', "role": "auditor"}'),
    "aud twice": lambda: claims_text('{"aud": "x", ' + json.dumps(CLAIMS)[1:]),
    "no role": lambda: token(role=...),
    "two roles": lambda: token(role=["ed-physician", "auditor"]),
    "the same role in two ways, which differ": lambda: token(role="coder", extensions={
        "ihe_iua": IUA}),
    "a role that is a number": lambda: token(role=7),
    "a role beside a number": lambda: token(role=["ed-physician", 7]),
    "a role that is an object without a code": lambda: token(role={"name": "ed-physician"}),
    "extensions as a list": lambda: token(extensions=[IUA]),
    "purposes as a number": lambda: token(purposes=1),
    "purposes as a list of lists": lambda: token(purposes=[["TREAT"]]),
    "a site that is a number": lambda: token(site=5),
    "a site that is a list": lambda: token(site=["north"]),
    "an empty site": lambda: token(site=""),
    "a site that is true": lambda: token(site=True),
    "a scope that is an object": lambda: token(scope={"capability/*.infer": True}),
    "a scope that is a list of numbers": lambda: token(scope=[1]),
    "a break-glass reason that is true": lambda: token(break_glass_reason=True),
    "a jti that is a number": lambda: token(jti=1),
    "bound to a client certificate": lambda: token(cnf={"x5t#S256": "AAAA"}),
    "bound to a DPoP key": lambda: token(cnf={"jkt": "AAAA"}),
    "an ID token": lambda: token(typ="ID"),
    "a refresh token": lambda: token(typ="Refresh"),
    "an ID token by its hash": lambda: token(at_hash="AAAA"),
    "claims that are a list": lambda: claims_text("[]"),
    "claims that are text": lambda: claims_text('"sub"'),
    "claims in UTF-16": lambda: raw_signed('{"alg": "ES256", "kid": "k1"}',
                                           json.dumps(CLAIMS).encode("utf-16"), EC, "ES256"),
    "claims with a byte order mark": lambda: claims_text("\ufeff" + json.dumps(CLAIMS)),
    "claims nested a hundred deep": lambda: claims_text(
        json.dumps(CLAIMS)[:-1] + ', "x": ' + "[" * 100 + "]" * 100 + "}"),
}  # fmt: skip
PERMITTED: dict[str, Attack] = {
    "ES256": token,
    "RS256": lambda: token(RSA, "RS256"),
    "PS384": lambda: token(RSA, "PS384"),
    "EdDSA": lambda: token(ED, "EdDSA"),
    "typ JWT": lambda: token(header={"typ": "JWT"}),
    "no typ": lambda: token(header={"typ": ...}),
    "a header that tells nothing of keys": lambda: token(header={"x5t": "AAAA"}),
    "azp instead of client_id": lambda: token(client_id=..., azp="ehr"),
    "both, and the same": lambda: token(azp="ehr"),
    "roles and purposes by IUA": lambda: token(role=..., purposes=..., extensions={"ihe_iua": IUA}),
    "both ways, and the same": lambda: token(extensions={"ihe_iua": IUA}),
    "a role as a list of one": lambda: token(role=["ed-physician"]),
    "scopes as a list": lambda: token(scope=["capability/*.infer"]),
    "times with a fraction": lambda: token(exp=T + 299.5),
    "expired within the leeway": lambda: token(exp=T - 59, iat=T - 100),
    "not yet valid within the leeway": lambda: token(nbf=T + 60),
    "a null for what is not said": lambda: token(break_glass_reason=None, nbf=None),
    "a claim that nobody reads": lambda: token(preferred_username="seven"),
    "a name in another script": lambda: token(sub="Практик/7"),
}
