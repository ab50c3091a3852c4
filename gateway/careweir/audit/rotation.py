"""Replace a key: make the new one, announce it on the record, take it into use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from careweir.audit.announce import SIGNING, announced_mac, announced_signer
from careweir.audit.keys import (
    MAC_FILE,
    SIGNING_FILE,
    AuditKeys,
    next_path,
    take_into_use,
)
from careweir.audit.note import ORIGIN, Signer
from careweir.audit.opening import open_trail
from careweir.errors import ConfigInvalid
from careweir.keyfile import load_or_create_key


async def rotate(
    which: str,
    folder: Path,
    *,
    data_dir: Path | None,
    database_url: str | None,
    actor: str,
    clock: Callable[[], datetime],
) -> None:
    """Announce a new key on the record, then take it into use. Gateways are to be restarted.

    ``which`` is ``signing`` or ``mac``; ``folder`` holds the keys. A rotation that was cut off
    goes on with the key that it had made. Raises AuditUnavailable or ConfigInvalid.
    """
    keys = AuditKeys.load(folder)
    if keys is None or keys.signing is None:
        raise ConfigInvalid("the keys of this trail are not here")
    name = SIGNING_FILE if which == SIGNING else MAC_FILE
    fresh = load_or_create_key(next_path(folder, name))
    cosigner = Signer(ORIGIN, fresh) if which == SIGNING else None
    trail = await open_trail(
        data_dir=data_dir, database_url=database_url, replica="command-line", keys=keys,
        clock=clock, cosigner=cosigner,
    )  # fmt: skip
    try:
        if cosigner is not None:
            entry = announced_signer(Signer(ORIGIN, keys.signing), cosigner)
        else:
            entry = announced_mac(keys.mac, fresh)
        await trail.append(replace(entry, actor=actor, client="careweir-cli"))
    finally:
        await trail.close()
    take_into_use(folder, name)
