"""``POST [type]/_search``: the parameters in the body, where no proxy's log keeps them."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import Request

from careweir.api.fhir.base import MediaTypeUnsupported, ParameterInvalid
from careweir.errors import BodyTooLarge

FORM = "application/x-www-form-urlencoded"
FORM_BYTES_MAX = 65_536


async def form(request: Request) -> list[tuple[str, str]]:
    """The parameters of the address and of the body together."""
    given = request.query_params.multi_items()
    if request.headers.get("content-type", FORM).partition(";")[0].strip().lower() != FORM:
        raise MediaTypeUnsupported(f"send {FORM}")
    body = await request.body()
    if len(body) > FORM_BYTES_MAX:
        raise BodyTooLarge(f"the limit of a search is {FORM_BYTES_MAX} bytes")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise ParameterInvalid("the form cannot be read") from None
    return [*given, *pairs]
