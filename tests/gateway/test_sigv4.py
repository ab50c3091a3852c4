"""Requests to AWS are signed over their final bytes; the signature is computed twice here."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from pathlib import Path

import httpx
import pytest

from careweir.errors import ConfigInvalid
from careweir.fanout.transport import VendorPool
from careweir_kit.adapter import VendorRequest
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.registry import discover_adapters, load_tool

pytest.importorskip("botocore", reason="needs the extra careweir[aws]")
from careweir.fanout.sigv4 import SigV4

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
BODY = b'{"Text": "No fever."}'
TARGET = "ComprehendMedical_20181030.InferICD10CM"


def _sent(secret: str) -> httpx.Request:
    """The request as it leaves."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b"{}"))

    async def send() -> None:
        signer = SigV4(secret, service="comprehendmedical", region="eu-west-1")
        pool = VendorPool(headers={}, transport=httpx.MockTransport(answer), signer=signer)
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": TARGET}
        request = VendorRequest("POST", "", BODY, headers)
        await pool.send("https://service.eu-west-1.example", request, bytes_max=100)
        await pool.close()

    asyncio.run(send())
    return seen[0]


def _expected(request: httpx.Request, names: str) -> str:
    """The signature by the published algorithm, from the standard library alone."""
    stamp = request.headers["x-amz-date"]
    lines = "".join(f"{name}:{request.headers[name]}\n" for name in names.split(";"))
    canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(BODY).hexdigest()}"
    scope = f"{stamp[:8]}/eu-west-1/comprehendmedical/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = b"AWS4" + SECRET.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


@pytest.mark.parametrize("token", ["", ":a-session-token"])
def test_a_request_carries_the_signature_of_its_own_bytes(token: str) -> None:
    request = _sent(f"AKIDEXAMPLE:{SECRET}{token}")

    scheme, _, rest = request.headers["authorization"].partition(" ")
    said = dict(part.split("=", 1) for part in rest.split(", "))
    assert scheme == "AWS4-HMAC-SHA256"
    assert said["Credential"].startswith("AKIDEXAMPLE/")
    assert {"host", "x-amz-date", "x-amz-target", "content-type"} <= set(
        said["SignedHeaders"].split(";")
    )
    assert said["Signature"] == _expected(request, said["SignedHeaders"])
    assert ("x-amz-security-token" in said["SignedHeaders"]) is bool(token)
    assert SECRET not in str(request.headers)


@pytest.mark.parametrize("secret", ["", "AKID", "AKID:", ":x", "a:b:c:d"])
def test_a_malformed_secret_is_refused_without_its_words(secret: str) -> None:
    with pytest.raises(ConfigInvalid) as raised:
        SigV4(secret, service="s", region="r")
    assert "AKID:" not in str(raised.value)


def test_a_tool_file_must_say_service_and_region(tmp_path: Path) -> None:
    adapters = discover_adapters()
    text = adapters["aws_comprehend_medical"].folder.joinpath("example_tool.yaml").read_text()
    file = tmp_path / "example-icd-reader.yaml"

    file.write_text(text + "auth: {kind: aws-sigv4, secret: KEY, service: s, region: r}\n")
    assert load_tool(file, adapters).auth.kind == "aws-sigv4"
    file.write_text(text + "auth: {kind: aws-sigv4, secret: KEY, service: s}\n")
    with pytest.raises(ToolFileInvalid, match="region"):
        load_tool(file, adapters)
