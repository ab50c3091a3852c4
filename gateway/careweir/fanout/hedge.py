"""Ask a slow tool a second time and take whichever answers first: off unless policy allows it.

The second request is a second disclosure, with an intent of its own, through the same guards, out
of the budget of repeats, and only to a tool that recognises a repeat. The one that loses is
cancelled and concluded as unknown: it was sent, and nobody knows what became of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from careweir.fanout.attempt import Attempted, Prepared
from careweir.fanout.call import Progress
from careweir_kit.errors import VendorError, WrongPatient

Asking = Callable[[Prepared, Progress], Awaitable[Attempted]]
_Tasks = Mapping["asyncio.Future[Attempted]", Progress]


async def hedged(
    ask: Asking,
    prepared: Prepared,
    state: Progress,
    *,
    after_s: float,
    may: Callable[[], bool],
) -> Attempted:
    """``ask``, and once more when it takes longer than ``after_s`` and ``may`` pays for it.

    ``state`` ends with the attempts of both and with the disclosure that decided. An answer about
    another patient decides at once, whatever the other one would say. Raises VendorError.
    """
    one, two = Progress(), Progress()
    first = asyncio.ensure_future(ask(prepared, one))
    tasks: dict[asyncio.Future[Attempted], Progress] = {first: one}
    decided = one
    try:
        await asyncio.wait(tasks, timeout=after_s)
        if not first.done() and may():
            two = Progress(attempts=one.attempts)  # attempts are numbered through
            tasks[asyncio.ensure_future(ask(_elsewhere(prepared), two))] = two
        decider = await _decider(tasks)
        decided = tasks[decider]
        return decider.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        state.attempts = max(one.attempts, two.attempts)
        state.disclosure, state.without = decided.disclosure, decided.without


async def _decider(tasks: _Tasks) -> asyncio.Future[Attempted]:
    """The first whole answer, a wrong one at once, or the first failure when all have failed."""
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task in done and isinstance(task.exception(), WrongPatient):
                return task
        for task in tasks:
            if task in done and not isinstance(task.exception(), VendorError):
                return task  # an answer, or an error that ends the question
    return next(iter(tasks))


def _elsewhere(prepared: Prepared) -> Prepared:
    """At the next endpoint, where there is one."""
    if not prepared.others:
        return prepared
    following, *rest = prepared.others
    return replace(prepared, endpoint=following, others=(*rest, prepared.endpoint))
