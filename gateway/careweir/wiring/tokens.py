"""The token issuer as it is configured, and what its keys are read from.

``CAREWEIR_TOKEN_JWKS`` is a file, an https URL, or the word ``discover``: then the issuer's own
OpenID Connect discovery document says where the keys are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from careweir.api.auth import TokenRules
from careweir.api.jwks import DiscoveredKeys, FetchedKeys, FileKeys, Keys
from careweir.errors import ConfigInvalid
from careweir.fanout import VendorPool, Wire, read_networks
from careweir.settings import Settings
from careweir.source.place import Place

DISCOVER: Final = "discover"
_SETTING: Final = "CAREWEIR_TOKEN_JWKS"


def token_rules(settings: Settings) -> TokenRules | None:
    """What tokens must satisfy here; None where no issuer is configured. Raises ConfigInvalid."""
    if settings.token_issuer is None or settings.token_jwks is None:
        return None
    return TokenRules(
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        keys=_keys(settings.token_issuer, settings.token_jwks, settings.private_networks),
        lifetime_max_s=settings.token_lifetime_max_s,
        token_endpoint=settings.token_endpoint,
    )


def _keys(issuer: str, jwks: str, networks: str) -> Keys:
    if jwks == DISCOVER:
        if Place.read(issuer) is None:
            raise ConfigInvalid("CAREWEIR_TOKEN_ISSUER: discovery needs an https URL")
        return DiscoveredKeys(_pool(networks), issuer)
    if "://" not in jwks:
        return FileKeys(Path(jwks), setting=_SETTING)
    if Place.read(jwks) is None:
        raise ConfigInvalid(f"{_SETTING}: the URL must be https, or http on 127.0.0.1")
    return FetchedKeys(_pool(networks), jwks)


def _pool(networks: str) -> VendorPool:
    return VendorPool(headers={}, wire=Wire(read_networks(networks)))
