"""A token issuer that exists only for the demonstration; its key dies with the process."""

from __future__ import annotations

from datetime import datetime

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from careweir.access.readers import READERS
from careweir.api.auth import TokenRules
from careweir.ids import new_id

ISSUER = "urn:careweir:demo-issuer"
LIFETIME_S = 8 * 3600
PEOPLE = {
    "ed-physician": ("Practitioner/demo-emergency-physician", ["TREAT", "ETREAT"]),
    "hospitalist": ("Practitioner/demo-hospitalist", ["TREAT"]),
    "radiologist": ("Practitioner/demo-radiologist", ["TREAT"]),
    "coder": ("Practitioner/demo-coder", ["HPAYMT", "CLMATTCH"]),
    "scheduler": ("Practitioner/demo-scheduler", ["TREAT", "HOPERAT", "PATADMIN"]),
    "utilisation-review": (
        "Practitioner/demo-utilisation-review",
        ["COVAUTH", "HPAYMT", "CAREMGT"],
    ),
    "integration-engine": ("Device/demo-integration-engine", ["TREAT", "HPAYMT", "HOPERAT"]),
    "auditor": ("Practitioner/demo-auditor", ["HCOMPL", "TREAT"]),
    "privacy-officer": ("Practitioner/demo-privacy-officer", ["HCOMPL"]),
    "governance-board": ("Practitioner/demo-governance-board", ["HOPERAT"]),
    "operator": ("Practitioner/demo-operator", ["HSYSADMIN"]),
    "vendor": ("Organization/demo-vendor", ["HOPERAT"]),
}


class DemoIssuer:
    """Signs one token a role, with ES256 and a key made at start."""

    def __init__(self, *, audience: str) -> None:
        self._key = ECKey.generate_key("P-256", parameters={"kid": new_id("key")}, private=True)
        self._audience = audience

    def keys(self) -> KeySet:
        """Its public key, as an issuer would publish it."""
        return KeySet([ECKey.import_key(self._key.as_dict(private=False))])

    def rules(self) -> TokenRules:
        """What the gateway checks these tokens against."""
        return TokenRules(
            ISSUER,
            self._audience,
            self.keys(),
            LIFETIME_S,
            token_endpoint="/demo/token",  # noqa: S106 - a path
            token_auth_methods=("private_key_jwt",),
        )

    def tokens(self, now: datetime) -> dict[str, str]:
        """A signed token for each role."""
        return {role: self.token(role, now) for role in PEOPLE}

    def token(
        self,
        role: str,
        now: datetime,
        *,
        client: str = "careweir-demo",
        scope: str | None = None,
        lifetime_s: int = LIFETIME_S,
    ) -> str:
        """A signed token for one role; without ``scope`` with all that the role can use."""
        subject, purposes = PEOPLE[role]
        issued = int(now.timestamp())
        claims = {
            "iss": ISSUER,
            "aud": self._audience,
            "sub": subject,
            "client_id": client,
            "jti": new_id("tok"),
            "iat": issued,
            "exp": issued + lifetime_s,
            "scope": _scope(role) if scope is None else scope,
            "role": role,
            "purposes": purposes,
        }
        header = {"alg": "ES256", "kid": self._key.kid, "typ": "JWT"}
        return jwt.encode(header, claims, self._key, algorithms=["ES256"])


def _scope(role: str) -> str:
    """What a demo token may be used for; who reads the record may read it as FHIR too."""
    return "capability/*.infer" + (" system/AuditEvent.rs" if role in READERS else "")
