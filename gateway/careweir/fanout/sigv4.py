"""Signature Version 4, as services of AWS want each request signed; by botocore's own signer.

The secret is ``ACCESS_KEY_ID:SECRET_ACCESS_KEY``, with ``:SESSION_TOKEN`` behind it for temporary
credentials. Each attempt is signed anew over its final bytes, with the time of that moment.

Source: botocore ``auth.py``; AWS General Reference, Signature Version 4.
"""

from __future__ import annotations

from collections.abc import Generator
from importlib import import_module
from typing import Final

import httpx

from careweir.errors import ConfigInvalid

_SIGNED: Final = ("content-type", "x-amz-target")  # beside host, date and token


class SigV4(httpx.Auth):
    """Signs requests for one service in one region."""

    requires_request_body = True

    def __init__(self, secret: str, *, service: str, region: str) -> None:
        """Raises ConfigInvalid without the extra ``careweir[aws]``, or for a malformed secret."""
        try:
            auth, requests, credentials = map(
                import_module, ("botocore.auth", "botocore.awsrequest", "botocore.credentials")
            )
        except ModuleNotFoundError:
            raise ConfigInvalid("auth.kind aws-sigv4 needs the extra careweir[aws]") from None
        parts = secret.split(":")
        if len(parts) not in (2, 3) or not all(parts):
            raise ConfigInvalid("an aws-sigv4 secret is ACCESS_KEY_ID:SECRET_ACCESS_KEY[:TOKEN]")
        self._request = requests.AWSRequest
        self._signer = auth.SigV4Auth(credentials.Credentials(*parts), service, region)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign and send once."""
        signed = self._request(
            method=request.method,
            url=str(request.url),
            data=request.content,
            headers={n: request.headers[n] for n in _SIGNED if n in request.headers},
        )
        self._signer.add_auth(signed)
        for name, value in signed.headers.items():
            request.headers[name] = value
        yield request
