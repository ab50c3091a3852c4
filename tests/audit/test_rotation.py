"""Keys follow keys on the record itself, and a verifier that trusts the first follows them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from audit.conftest import Clock, intent, outcome
from careweir.audit import AuditKeys, Entry, Report, open_trail, verify
from careweir.audit.announce import announced_mac, announced_signer, announcement
from careweir.audit.keys import MAC_FILE, SIGNING_FILE, take_into_use
from careweir.audit.note import ORIGIN, NoteInvalid, Signer
from careweir.audit.rotation import rotate

FIRST = Signer(ORIGIN, b"1" * 32)
SECOND = Signer(ORIGIN, b"2" * 32)


def write(data: Path, keys: AuditKeys, entries: Sequence[Entry]) -> None:
    async def story() -> None:
        trail = await open_trail(
            data_dir=data, database_url=None, replica="gw", keys=keys, clock=Clock()
        )
        for entry in entries:
            await trail.append(entry)
        await trail.close()

    asyncio.run(story())


def checked(data: Path, keys: AuditKeys | None, **more: object) -> Report:
    return verify(data_dir=data, keys=keys, **more)  # type: ignore[arg-type]


def rotated(data: Path, which: str) -> None:
    asyncio.run(
        rotate(which, data / "keys", data_dir=data, database_url=None, actor="os-user:t",
               clock=Clock())
    )  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two rotations of each key, with work between them."""
    folder = tmp_path / "data"
    write(folder, AuditKeys.load_or_create(folder / "keys"), [intent(1), outcome(1)])
    for n, which in enumerate(("signing", "mac", "signing", "mac"), start=2):
        rotated(folder, which)
        write(folder, AuditKeys.load_or_create(folder / "keys"), [intent(n), outcome(n)])
    return folder


def test_everything_verifies_with_all_keys(data: Path) -> None:
    keys = AuditKeys.load(data / "keys")
    assert keys is not None
    assert (len(keys.old_macs), len(keys.old_signings)) == (2, 2)

    report = checked(data, keys)

    assert report.status == "clean", report.problems
    assert report.sealed == report.entries


def test_who_trusts_the_first_public_key_follows_to_the_last(data: Path) -> None:
    keys = AuditKeys.load(data / "keys")
    assert keys is not None
    first, *_ = keys.public()[::-1]

    followed = checked(data, None, checkpoint_key=first)
    foreign = checked(data, None, checkpoint_key=SECOND.key)

    assert followed.status == "clean", followed.problems
    assert foreign.status == "tampered"
    assert {p.problem for p in foreign.problems} == {"checkpoint_mismatch", "key_unknown"}


def test_without_the_keys_that_were_replaced_old_entries_do_not_pass(data: Path) -> None:
    keys = AuditKeys.load(data / "keys")
    assert keys is not None

    report = checked(data, AuditKeys(keys.mac, keys.patient))

    assert {p.problem for p in report.problems} == {"mac_mismatch"}


def test_a_writer_that_begins_with_a_replaced_key_is_caught(data: Path) -> None:
    keys = AuditKeys.load(data / "keys")
    assert keys is not None
    write(data, AuditKeys(keys.old_macs[0], keys.patient, keys.signing), [intent(99), outcome(99)])

    report = checked(data, keys)

    assert report.status == "tampered"
    assert report.first_bad is not None
    assert report.first_bad.problem == "mac_mismatch"


def test_a_rotation_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    keys = AuditKeys.load_or_create(tmp_path / "keys")
    (tmp_path / "keys" / f"{SIGNING_FILE}.next").write_bytes(b"n" * 32)

    rotated(tmp_path, "signing")

    after = AuditKeys.load(tmp_path / "keys")
    assert after is not None
    assert (after.signing, after.old_signings) == (b"n" * 32, (keys.signing,))
    assert checked(tmp_path, after).status == "clean"


def test_an_announcement_needs_both_keys() -> None:
    entry = announced_signer(FIRST, SECOND)
    assert announcement(entry.body, [FIRST.key]).signing == SECOND.key
    stranger = Signer(ORIGIN, b"3" * 32)

    for body, trusted in (
        (entry.body, [stranger.key]),
        (entry.body, [SECOND.key, stranger.key][1:]),
        ({**entry.body, "new": str(stranger.key)}, [FIRST.key]),
        ({**entry.body, "old": str(stranger.key)}, [FIRST.key]),
        ({**entry.body, "note": "x"}, [FIRST.key]),
        ({"which": "signing"}, [FIRST.key]),
    ):
        with pytest.raises(NoteInvalid):
            announcement(body, trusted)


def test_a_mac_key_is_named_and_never_told() -> None:
    entry = announced_mac(b"a" * 32, b"b" * 32)

    assert "a" * 32 not in str(entry.body)
    assert announcement(entry.body, []).retired_mac == entry.body["old"]


def test_keys_are_put_aside_under_growing_numbers(tmp_path: Path) -> None:
    AuditKeys.load_or_create(tmp_path)
    for n in (b"x", b"y"):
        (tmp_path / f"{MAC_FILE}.next").write_bytes(n * 32)
        take_into_use(tmp_path, MAC_FILE)

    keys = AuditKeys.load(tmp_path)
    assert keys is not None
    assert keys.mac == b"y" * 32
    assert keys.old_macs[0] == b"x" * 32
