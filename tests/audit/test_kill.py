"""Kill -9 under load: nothing was sent that is not on the record, and the record verifies."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from audit.conftest import Clock
from audit.test_contract import Backend, backend, postgres, server  # noqa: F401
from careweir.audit import AuditKeys, Query, open_trail, verify

KILLS = int(os.environ.get("CAREWEIR_TEST_KILLS", "4"))
KEYS = AuditKeys(mac=b"m" * 32, patient=b"p" * 32, signing=b"s" * 32)
LOAD = """
import asyncio, itertools, os, sys
from datetime import UTC, datetime
from pathlib import Path
from careweir.audit import AuditKeys, Entry, open_trail
numbers = itertools.count()
async def caller(trail, vendor):
    while True:
        name = f"dis_{os.getpid()}_{next(numbers)}"
        await trail.append(Entry("intent", disclosure=name, tool="acme-sepsis"))
        os.write(vendor, name.encode() + b"\\n")
        await trail.append(Entry("outcome", disclosure=name, outcome="answered"))
async def main():
    trail = await open_trail(data_dir=Path(sys.argv[1]), database_url=sys.argv[2] or None,
        replica="gw", clock=lambda: datetime.now(UTC),
        keys=AuditKeys(mac=b"m" * 32, patient=b"p" * 32, signing=b"s" * 32))
    vendor = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    await asyncio.gather(*(caller(trail, vendor) for _ in range(16)))
asyncio.run(main())
"""


def kill_under_load(backend: Backend, vendor: Path, delay_s: float) -> None:  # noqa: F811
    """Start the load, let it send for a while, and kill it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [str(backend.data_dir), backend.database_url or "", str(vendor)]
    before = vendor.stat().st_size if vendor.exists() else 0
    process = subprocess.Popen([sys.executable, "-c", LOAD, *arguments], env=environment)
    try:
        while process.poll() is None and (not vendor.exists() or vendor.stat().st_size == before):
            time.sleep(0.005)
        time.sleep(delay_s)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -9


def test_what_a_vendor_saw_is_on_the_record_after_every_kill(
    backend: Backend,  # noqa: F811
    tmp_path: Path,
) -> None:
    source, vendor = random.Random(20260302), tmp_path / "vendor"
    for _ in range(KILLS):
        kill_under_load(backend, vendor, source.uniform(0, 0.3))
    if backend.database_url is not None:
        time.sleep(0.5)  # the server needs a moment to see that the last connection is gone

    async def intents() -> set[str | None]:
        trail = await open_trail(
            data_dir=backend.data_dir,
            database_url=backend.database_url,
            replica="gw",
            keys=KEYS,
            clock=Clock(),
        )
        found = {stored.entry.disclosure async for stored in trail.read(Query(type="intent"))}
        await trail.close()
        return found

    recorded = asyncio.run(intents())
    seen = set(vendor.read_text().split())
    assert seen <= recorded, f"{len(seen - recorded)} disclosures without an intent"
    place = (
        {"database_url": backend.database_url}
        if backend.database_url
        else {"data_dir": backend.data_dir}
    )
    report = verify(**place, keys=KEYS)  # type: ignore[arg-type]
    assert (report.status, report.open_intents) == ("clean", 0), report.problems
    assert report.sealed == report.entries
    assert report.writers == KILLS + 1
