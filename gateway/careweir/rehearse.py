"""Ask one server as the gateway would, outside any question: for conformance checks.

The same transport, deadline, retries and checks as in production; only the record is kept in
memory, because what is sent is a made-up chart.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

from careweir.fanout import Asked, Guards, Intent, Prepared, VendorPool, ask_all, vendor_pool
from careweir.minimise import Manifest, Minimised
from careweir_kit.adapter import Ask, VendorRequest
from careweir_kit.conformance import Called
from careweir_kit.registry import LoadedAdapter
from careweir_kit.tool import Tool


class _Unrecorded:
    """The fan-out's record of made-up charts: nothing has to be kept."""

    async def intend(self, prepared: Prepared, request: VendorRequest, attempt: int) -> Intent:
        return Intent(f"check-{attempt}", prepared.tool.tool, attempt)

    def conclude(self, intent: Intent, *, outcome: str, answer_sha256: str | None) -> None:
        """Keep nothing."""

    def held(self, tool: str, disclosure: str) -> None:
        """Keep nothing."""

    def computed(self, prepared: Prepared, *, outcome: str) -> None:
        """Keep nothing."""


class Rehearsal:
    """A ``Call`` of the conformance kit.

    ``secrets`` by their names are shown to ``real`` only; simulators in the checks demand none.
    """

    def __init__(self, secrets: Mapping[str, str] | None = None, real: str | None = None) -> None:
        self._secrets = dict(secrets or {})
        self._real = real
        self._pools: dict[str, VendorPool] = {}

    async def __call__(
        self, adapter: LoadedAdapter, tool: Tool, ask: Ask, *, url: str, deadline_ms: int
    ) -> Called:
        """Ask once, with the retries that the tool file allows; never raises VendorError."""
        pool = self._pool(tool, url)
        prepared = Prepared(tool, adapter, _minimised(tool, ask), ask.subject, url, pool)
        clock = asyncio.get_running_loop().time
        guards = Guards(clock=clock, rng=random.Random(1))  # noqa: S311 - retry jitter, not a secret
        asked = Asked(
            _Unrecorded(),
            as_of=ask.as_of,
            deadline=clock() + deadline_ms / 1000,
            guards=guards,  # new ones: one check's failures open no circuit for the next
        )
        (reply,) = await ask_all([prepared], asked, strategy="all")
        return Called(
            reply.status,
            findings=reply.findings,
            attempts=reply.attempts,
            retry_after_s=reply.retry_after_s,
            said=" ".join((reply.reason or "", *reply.notes)),
        )

    async def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            await pool.close()
        self._pools.clear()

    def _pool(self, tool: Tool, url: str) -> VendorPool:
        known = url == self._real and bool(self._secrets)
        name = url if known else ""
        if name not in self._pools:
            pool = vendor_pool(tool, self._secrets, url=url) if known else VendorPool(headers={})
            self._pools[name] = pool
        return self._pools[name]


def _minimised(tool: Tool, ask: Ask) -> Minimised:
    """A recorded question is minimised already."""
    manifest = Manifest(
        tool=tool.tool,
        tool_version=tool.version,
        policy_revision="none",
        purpose="TREAT",
        role="check",
        site=None,
        asked=(),
        sent=(),
        withheld=(),
        transformed=(),
    )
    return Minimised(dict(ask.payload), manifest)
