"""Whose tokens are believed, as the settings say."""

from __future__ import annotations

from joserfc.jwk import KeySet

from careweir.api.auth import TokenRules
from careweir.errors import ConfigInvalid
from careweir.settings import Settings
from careweir_kit.strict_json import JsonRefused, decode


def token_rules(settings: Settings) -> TokenRules | None:
    """The rules, or None when no issuer is set; raises ConfigInvalid for an unreadable JWKS."""
    if settings.token_issuer is None or settings.token_jwks is None:
        return None
    try:
        keys = KeySet.import_key_set(decode(settings.token_jwks.read_bytes()))
    except (OSError, JsonRefused, ValueError, KeyError):
        raise ConfigInvalid("CAREWEIR_TOKEN_JWKS: not a readable JWKS file") from None
    return TokenRules(
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        keys=keys,
        lifetime_max_s=settings.token_lifetime_max_s,
    )
