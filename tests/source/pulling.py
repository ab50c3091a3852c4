"""How the tests pull: a source from its file, one loop a pull, and what two answers share."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, RSAKey

from careweir.access import Decision
from careweir.minimise import Minimised
from careweir.source import Fetched, Source, fetch_chart, load_sources
from careweir_kit.tool import Tool
from minimise.charts import AS_OF, SEPSIS, Json, decision, run
from source.server import Server

KEYS: dict[str, Json] = {
    "EC": ECKey.generate_key("P-384", parameters={"kid": "ec-1"}).as_dict(private=True),
    "RSA": RSAKey.generate_key(2048, parameters={"kid": "rsa-1"}).as_dict(private=True),
}
SECRETS = {"EC_KEY": json.dumps(KEYS["EC"]), "RSA_KEY": json.dumps(KEYS["RSA"]), "FIXED": "abc.def"}
SMART: Json = {"kind": "smart", "client_id": "careweir-test", "secret": "EC_KEY"}


def written(folder: Path, **sources: Json) -> Path:
    """A folder with a ``sources.yaml`` (JSON is YAML)."""
    (folder / "sources.yaml").write_text(json.dumps({"version": 1, "sources": sources}))
    return folder


def opened(
    server: Server, *, monotonic: Callable[[], float] = time.monotonic, **file: Any
) -> Source:
    """The source ``main-ehr`` for a running server."""
    given: Json = {"base_url": server.base_url, "auth": {"kind": "none"}, **file}
    with tempfile.TemporaryDirectory() as folder:
        return load_sources(
            written(Path(folder), **{"main-ehr": given}),
            secret=SECRETS.get,
            clock=lambda: datetime.fromtimestamp(server.now(), UTC),
            monotonic=monotonic,
        )["main-ehr"]


async def fetched(
    source: Source,
    *tools: Tool,
    by: Decision | None = None,
    subject: str = "Patient/p1",
    as_of: datetime = AS_OF,
    study: str | None = None,
    seconds: float = 10,
) -> Fetched:
    """One pull under the shipped policy."""
    asked: Sequence[Tool] = tools or (SEPSIS,)
    return await fetch_chart(
        source,
        asked,
        by or decision(of=asked[0]),
        subject=subject,
        as_of=as_of,
        study=study,
        deadline=asyncio.get_running_loop().time() + seconds,
    )


def pull(server: Server, *tools: Tool, file: Json | None = None, **more: Any) -> Fetched:
    """One pull in a loop of its own."""

    async def once() -> Fetched:
        source = opened(server, **(file or {}))
        try:
            return await fetched(source, *tools, **more)
        finally:
            await source.close()

    return asyncio.run(once())


def entries(found: Fetched) -> list[Json]:
    """The resources of a pulled chart."""
    return [entry["resource"] for entry in json.loads(found.bundle)["entry"]]


def kinds(found: Fetched) -> list[str]:
    """Their types, sorted."""
    return sorted(one["resourceType"] for one in entries(found))


def answers(found: Minimised) -> tuple[list[str], tuple[str, ...]]:
    """Payload and sent paths, without the ordinals that follow the order of a chart."""
    rows = []
    for entry in (found.payload or {"entry": []})["entry"]:
        resource = dict(entry["resource"])
        if resource["resourceType"] not in ("Patient", "Encounter", "ImagingStudy"):
            del resource["id"]
        rows.append(json.dumps(resource, sort_keys=True))
    return sorted(rows), found.manifest.sent


def check_theorem(server: Server, full: bytes, *tools: Tool, **more: Any) -> Fetched:
    """INVARIANT: minimised over the pulled chart = minimised over the whole chart."""
    server.hold(*(entry["resource"] for entry in json.loads(full)["entry"]))
    file = more.pop("file", None)
    chart = pull(server, *tools, file=file, **more)
    more.pop("seconds", None)
    for tool in tools:
        more["by"] = more.get("by") or decision(of=tools[0])
        assert answers(run(chart.bundle, tool, **more)) == answers(run(full, tool, **more))
    return chart
