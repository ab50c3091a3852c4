"""A site of its own for the gateway benchmark: shipped policies, four tools, simulators, a token.

The tools are shipped ones under other names, so that one capability has four live tools on true
wire formats; their simulators answer without delay.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import yaml

from careweir.bench.bare import Call
from careweir.bench.chart import AS_OF, SUBJECT
from careweir.bench.minimise import CAPABILITY, PURPOSE, ROLE, minimise_all
from careweir.bench.size import SEED
from careweir.demo.issuer import ISSUER, DemoIssuer
from careweir.paths import policies_dir
from careweir.question import rfc3339
from careweir.wiring.house import load_house
from careweir_kit.adapter import Ask
from careweir_kit.simulation.launcher import simulators
from careweir_kit.strict_yaml import load_mapping

TOOLS_MAX = 4


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of request: a chart and the number of tools that are asked about it."""

    name: str
    chart: bytes
    tools: int
    cpu_us_max: float
    overhead_ms_max: float

    def tool_names(self) -> list[str]:
        """The tools that are asked."""
        return [f"bench-{number}" for number in range(self.tools)]

    def question(self) -> bytes:
        """The body of ``POST /v1/inferences``."""
        head = orjson.dumps({
            "capability": CAPABILITY, "subject": SUBJECT, "purpose": PURPOSE,
            "context": {"as_of": rfc3339(AS_OF)}, "tools": self.tool_names(),
        })  # fmt: skip
        return head[:-1] + b',"inputs":' + self.chart + b"}"


@dataclass(frozen=True, slots=True)
class Site:
    """Where the gateway under measurement finds its configuration, and who may ask it."""

    folder: Path
    endpoints: Mapping[str, str]
    authorization: str
    bearers: Mapping[str, str]

    @property
    def config(self) -> Path:
        """The folder of policies and tools."""
        return self.folder / "config"

    def settings(self) -> dict[str, str]:
        """The environment of the gateway."""
        return {
            "CAREWEIR_TOKEN_ISSUER": ISSUER,
            "CAREWEIR_TOKEN_JWKS": str(self.folder / "jwks.json"),
            "CAREWEIR_RATE_PER_S": "1000000",  # what is measured is not the limit
            "CAREWEIR_RATE_BURST": "1000000",
            "CAREWEIR_SECRETS_DIR": str(self.folder / "secrets"),
        }

    def calls(self, load: Load) -> list[Call]:
        """The vendor calls that the gateway makes for a load, built by the same adapters."""
        house = load_house(self.config)
        tools = [house.tools[name] for name in load.tool_names()]
        calls = []
        for tool, sent in zip(tools, minimise_all(load.chart, house, tools), strict=True):
            assert sent.payload is not None
            patients = [entry["resource"] for entry in sent.payload["entry"]]
            subject = next(one["id"] for one in patients if one["resourceType"] == "Patient")
            ask = Ask(subject, "att_bench", sent.payload, rfc3339(AS_OF), tool.deadline_ms)
            request = house.adapters[tool.adapter].module.build_request(tool, ask)
            url = f"{self.endpoints[tool.tool]}/{request.path.lstrip('/')}"
            headers = dict(request.headers)
            if tool.auth.secret:
                headers[tool.auth.header] = f"Bearer {self.bearers[tool.auth.secret]}"
            calls.append(Call(url, request.body.decode(), headers))
        return calls


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    """Write the configuration, start the simulators, yield, stop them."""
    config, secret_files, issuer = folder / "config", folder / "secrets", DemoIssuer(
        audience="careweir"
    )  # fmt: skip
    shutil.copytree(policies_dir(None), config)
    rows = _tool_files(config / "tools")
    bearers = {row["auth"]["secret"]: secrets.token_urlsafe(16) for row in rows if "auth" in row}
    secret_files.mkdir()
    for name, bearer in bearers.items():
        (secret_files / name).write_text(bearer, encoding="ascii")
    keys = issuer.keys().as_dict(private=False)
    (folder / "jwks.json").write_bytes(orjson.dumps(keys))
    files = [config / "tools" / f"{row['tool']}.yaml" for row in rows]
    async with simulators(files, seed=SEED, bearers=bearers) as vendors:
        for row in rows:
            row["endpoints"] = {"default": vendors[row["tool"]].url}
            _write(config / "tools", row)
        token = issuer.token(ROLE, datetime.now(UTC))
        endpoints = {name: vendor.url for name, vendor in vendors.items()}
        yield Site(folder, endpoints, f"Bearer {token}", bearers)


def _tool_files(folder: Path) -> list[dict[str, Any]]:
    """Replace the live tools by four of the capability, in turn, under names of their own."""
    shipped = {file: load_mapping(file.read_text("utf-8")) for file in sorted(folder.iterdir())}
    models = [row for row in shipped.values() if "simulator" in row
              and CAPABILITY in row["capabilities"]]  # fmt: skip
    for file, row in shipped.items():
        if "simulator" in row:
            file.unlink()
    rows = []
    for number in range(TOOLS_MAX):
        row = dict(models[number % len(models)])
        row["tool"] = f"bench-{number}"
        row["simulator"] = row["simulator"] | {"latency_ms": 0}
        _write(folder, row)
        rows.append(row)
    return rows


def _write(folder: Path, row: dict[str, Any]) -> None:
    text = yaml.safe_dump(row, sort_keys=False)
    (folder / f"{row['tool']}.yaml").write_text(text, encoding="utf-8")
