"""``Idempotency-Key``: the same key and body give the same answer, and no second disclosure.

Answers are kept in this process's memory, newest first and up to a limit: a restart or another
replica does not know them. What failed before anything was sent is not kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from starlette.responses import Response

from careweir.errors import KeyReused, QuestionInvalid

KEPT_MAX = 1024
_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def checked_key(key: str) -> str:
    """A usable key, or QuestionInvalid."""
    if _KEY.fullmatch(key) is None:
        raise QuestionInvalid("must be 1 to 128 letters, digits or _.:-", path="Idempotency-Key")
    return key


class AnsweredOnce:
    """Runs the work of a key once; a caller who comes meanwhile waits for the same answer."""

    def __init__(self, *, kept_max: int = KEPT_MAX) -> None:
        self._kept_max = kept_max
        self._tasks: OrderedDict[Hashable, tuple[bytes, asyncio.Task[Response]]] = OrderedDict()

    async def run(
        self, key: Hashable, body: bytes, work: Callable[[], Awaitable[Response]]
    ) -> Response:
        """The answer of this key; raises KeyReused when the key belongs to another body."""
        digest = hashlib.sha256(body).digest()
        found = self._tasks.get(key)
        if found is None:
            task = asyncio.ensure_future(self._done(work))
            self._tasks[key] = (digest, task)
            task.add_done_callback(lambda done: self._forget_failure(key, done))
            while len(self._tasks) > self._kept_max:
                self._tasks.popitem(last=False)
        elif found[0] != digest:
            raise KeyReused("send a new key with another body")
        else:
            task = found[1]
        return _copy(await asyncio.shield(task))

    async def _done(self, work: Callable[[], Awaitable[Response]]) -> Response:
        return await work()

    def _forget_failure(self, key: Hashable, done: asyncio.Task[Response]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._tasks.pop(key, None)


def _copy(response: Response) -> Response:
    """A response of its own for each caller: middleware changes headers on the way out."""
    copy = Response(response.body, status_code=response.status_code)
    copy.raw_headers = list(response.raw_headers)
    return copy
