"""What keeps: the record of disclosures, the state between requests, and who else is told."""

from __future__ import annotations

from functools import partial

from careweir.audit import AuditKeys, AuditTrail, open_trail, verify
from careweir.audit.witness import FileWitness, SyslogWitness, Witness
from careweir.console import Console, verify_apart
from careweir.feed import Feed, Syslog, Webhook
from careweir.settings import Settings
from careweir.state import State, StateKeys, open_state
from careweir.wiring.overrides import Clock
from careweir.wiring.secret_files import SecretFiles


def load_keys(settings: Settings) -> AuditKeys:
    """The keys of the record; made at the first start."""
    return AuditKeys.load_or_create(settings.keys_dir or settings.data / "keys")


async def open_record(settings: Settings, keys: AuditKeys, clock: Clock) -> AuditTrail:
    """The record; beside PostgreSQL the data folder holds its spool."""
    return await open_trail(
        data_dir=settings.data,
        database_url=_database(settings),
        replica=settings.replica,
        keys=keys,
        clock=clock,
        witnesses=_witnesses(settings, clock),
        witness_required=settings.witness_required,
    )


async def open_memory(settings: Settings, clock: Clock) -> State:
    """What is kept between requests, in the same kind of database as the record."""
    return await open_state(
        data_dir=settings.data,
        database_url=_database(settings),
        keys=StateKeys.load_or_create(settings.keys_dir or settings.data / "keys"),
        clock=clock,
    )


def console_of(settings: Settings, keys: AuditKeys, trail: AuditTrail, clock: Clock) -> Console:
    """What the auditor's page needs beside the services: whose key, and how to verify."""
    url = _database(settings)
    check = partial(
        verify,
        data_dir=None if url else settings.data,
        database_url=url,
        keys=keys,
        witness=settings.witness_file,
    )
    return Console(
        patient_key=keys.patient_key,
        verify=partial(verify_apart, check),
        clock=clock,
        last_checkpoint=trail.checkpoint,
    )


def feeds_of(
    settings: Settings, secrets: SecretFiles, trail: AuditTrail, clock: Clock
) -> list[Feed]:
    """Who gets every entry sent on, beside the record."""
    receivers: list[Webhook | Syslog] = []
    if settings.feed_url is not None:
        receivers.append(Webhook(settings.feed_url, secrets.find("feed-token")))
    if settings.feed_syslog is not None:
        receivers.append(Syslog(settings.feed_syslog, clock=clock, replica=settings.replica))
    return [Feed(trail, receiver, settings.data) for receiver in receivers]


def _database(settings: Settings) -> str | None:
    return settings.database_url.get_secret_value() if settings.database_url else None


def _witnesses(settings: Settings, clock: Clock) -> list[Witness]:
    """Who else keeps the signed checkpoints, outside the database's power."""
    found: list[Witness] = []
    if settings.witness_file is not None:
        found.append(FileWitness(settings.witness_file))
    if settings.witness_syslog is not None:
        host, _, port = settings.witness_syslog.rpartition(":")
        found.append(SyslogWitness(host, int(port), clock=clock, replica=settings.replica))
    return found
