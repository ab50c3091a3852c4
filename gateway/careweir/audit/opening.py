"""Start a trail on the database that the settings name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from careweir.audit.keys import AuditKeys
from careweir.audit.note import ORIGIN, Signer
from careweir.audit.port import AuditTrail
from careweir.audit.postgres import PostgresStore
from careweir.audit.seal import Sealer
from careweir.audit.spool import Spool
from careweir.audit.sqlite import SqliteStore
from careweir.audit.store import Store
from careweir.audit.trail import Trail
from careweir.audit.witness import Witness
from careweir.errors import ConfigInvalid

_REPLICA = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,31}")  # a place must fit into a FHIR id


async def open_trail(
    *,
    data_dir: Path | None,
    database_url: str | None,
    replica: str,
    keys: AuditKeys,
    clock: Callable[[], datetime],
    witnesses: Sequence[Witness] = (),
    cosigner: Signer | None = None,
    witness_required: bool = False,
) -> AuditTrail:
    """A trail that writes, with a writer of its own: the replica and this boot.

    Args:
        data_dir: holds the SQLite file, unless ``database_url`` is given, and the spool.
        database_url: a PostgreSQL URL.
        witnesses: who else keeps the checkpoints.
        witness_required: intents are refused while no witness takes the checkpoints.
        cosigner: signs them beside the signing key, while a new one is being announced.
        clock: the time of an entry, with its zone.

    Raises:
        AuditUnavailable: the database cannot be written to.
        ConfigInvalid: its schema is newer, or a setting cannot be used.
    """
    if not _REPLICA.fullmatch(replica):
        raise ConfigInvalid("a replica's name is 1 to 32 letters, digits, '.' or '-'")
    writer = f"{replica}.{uuid4().hex[:16]}"
    store = _store(data_dir, database_url, keys)
    if witness_required and not witnesses:
        raise ConfigInvalid("a witness is required, and none is set")
    sealer = None
    if keys.signing:
        signer = Signer(ORIGIN, keys.signing, also=cosigner)
        sealer = Sealer(store, signer, witnesses, keys.public(), required=witness_required)
    trail = Trail(store, Spool(data_dir, *keys.macs), keys, clock, writer, sealer)
    await trail.start()
    return trail


def _store(data_dir: Path | None, database_url: str | None, keys: AuditKeys) -> Store:
    if database_url is not None:
        return PostgresStore(database_url)
    if data_dir is None:
        raise ConfigInvalid("the audit trail needs a data directory or a database URL")
    return SqliteStore(data_dir, keys.mac)
