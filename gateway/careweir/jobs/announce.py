"""Tell the application that asked that its answer has changed: a signed webhook without content.

The message names the inference and what happened, no patient and no finding: whoever gets it reads
the answer with its own token. It is a job: it is sent until somebody takes it, with growing pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import orjson

from careweir.errors import ConfigInvalid, StateUnavailable
from careweir.fanout import Transport
from careweir.jobs.kept import Kept
from careweir.jobs.runner import Again, Job, Runner
from careweir.log import log
from careweir.state import Record, State
from careweir.webhook import signed
from careweir_kit.adapter import VendorRequest
from careweir_kit.errors import VendorError
from careweir_kit.strict_yaml import YamlRefused, load_mapping

KIND = "announcement"
SORT = "announce"
SEND_S = 10.0
KEPT_S = 86_400
ANSWER_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Hook:
    """Where one application hears of changes, and the name of the secret that signs them."""

    url: str
    secret: str


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    secret: str


class _Waiting(msgspec.Struct, frozen=True):
    client: str
    body: bytes


def load_hooks(file: Path | None, *, allow_http: bool) -> dict[str, Hook]:
    """``client_id: {url, secret}`` of a YAML file; raises ConfigInvalid."""
    if file is None:
        return {}
    try:
        rows = load_mapping(file.read_text(encoding="utf-8"))
        found = msgspec.convert(rows, type=dict[str, _Row])
    except (OSError, YamlRefused, msgspec.ValidationError):
        raise ConfigInvalid(f"{file.name}: must hold client: {{url, secret}}") from None
    for row in found.values():
        parts = urlsplit(row.url)
        local = parts.scheme == "http" and (parts.hostname == "127.0.0.1" or allow_http)
        if not parts.hostname or not (parts.scheme == "https" or local):
            raise ConfigInvalid(f"{file.name}: a webhook's url must be https")
    return {client: Hook(row.url, row.secret) for client, row in found.items()}


class Announcer:
    """Sends what has changed to the applications that have a hook."""

    def __init__(
        self,
        state: State,
        runner: Runner,
        transport: Transport,
        *,
        hooks: Mapping[str, Hook],
        secrets: Mapping[str, bytes],
        clock: Callable[[], datetime],
    ) -> None:
        self._state = state
        self._runner = runner
        self._transport = transport
        self._hooks = hooks
        self._secrets = secrets
        self._clock = clock
        runner.sort(SORT, self._work, give_up=self._give_up)

    async def __call__(self, kept: Kept, record: Record, event: str) -> None:
        """Put one announcement on the list; without a hook there is nothing to do."""
        if kept.reader.client not in self._hooks:
            return
        key = f"msg_{kept.inference}_{record.version}"
        body = orjson.dumps(
            {
                "type": event,
                "timestamp": self._clock().isoformat(),
                "data": {
                    "inference": kept.inference,
                    "location": f"/v1/inferences/{kept.inference}",
                },
            }
        )
        waiting = msgspec.msgpack.encode(_Waiting(kept.reader.client, body))
        expires = self._clock() + timedelta(seconds=KEPT_S)
        try:
            job = await self._runner.reserve(SORT, key, site=record.site)
            await self._state.put_new(KIND, key, waiting, site=record.site, expires_at=expires)
            self._runner.begin(SORT, job)
        except StateUnavailable as error:
            log.error("announcement lost", inference=kept.inference, reason=error.detail)

    async def _work(self, job: Job) -> None:
        record = await self._state.get(KIND, job.key)
        if record is None:
            return
        waiting = msgspec.msgpack.decode(record.body, type=_Waiting)
        hook = self._hooks.get(waiting.client)
        if hook is None:
            return
        headers = signed(self._secrets[hook.secret], job.key, waiting.body, now=self._clock())
        base, path = hook.url.rpartition("/")[::2]
        request = VendorRequest(
            "POST", path, waiting.body, {"content-type": "application/json", **headers}
        )
        try:
            async with asyncio.timeout(SEND_S):
                answer = await self._transport.send(base, request, bytes_max=ANSWER_BYTES_MAX)
        except (VendorError, TimeoutError):
            raise Again from None
        if not 200 <= answer.status < 300:
            raise Again
        await self._state.delete(KIND, job.key)

    async def _give_up(self, job: Job) -> None:
        log.error("announcement not taken", attempts=job.takes)
        await self._state.delete(KIND, job.key)
