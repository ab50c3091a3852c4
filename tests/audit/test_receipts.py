"""Receipts that callers kept hold a record to what it said, even where nothing is sealed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from audit.conftest import tampered
from careweir.audit import AuditKeys, Receipt, verify
from careweir.audit.receipts import receipts_in
from careweir.audit.sqlite import SqliteStore


async def receipts_of(directory: Path, keys: AuditKeys) -> list[Receipt]:
    store = SqliteStore(directory, keys.mac)
    await store.start("reader")
    heads = [
        head for each in await store.heads()
        for head in await store.hashes(each.writer, 1, each.seq)
    ]  # fmt: skip
    await store.close()
    return [Receipt(head.writer, head.seq, head.hash.hex()) for head in heads]


def test_every_receipt_of_a_sound_record_is_borne_out(
    data_dir: Path,
    export: Path,
    keys: AuditKeys,
) -> None:
    receipts = asyncio.run(receipts_of(data_dir, keys))

    gateways = [receipt for receipt in receipts if receipt.writer.startswith("gw")]
    assert len(gateways) == 124
    assert verify(data_dir=data_dir, keys=keys, receipts=receipts).status == "clean"
    assert verify(export=export, keys=keys, receipts=gateways).status == "clean"


def test_an_unsealed_tail_that_was_cut_off_is_missed_by_its_receipts_only(
    data_dir: Path,
    keys: AuditKeys,
) -> None:
    receipts = asyncio.run(receipts_of(data_dir, keys))
    tampered(data_dir, "DELETE FROM audit_entry WHERE position >= 121")

    without = verify(data_dir=data_dir, keys=keys)
    held = verify(data_dir=data_dir, keys=keys, receipts=receipts)

    assert without.status == "clean"
    assert held.status == "tampered"
    assert {(p.problem, p.seq) for p in held.problems} == {
        ("receipt_unknown", seq) for seq in range(59, 63)
    }


def test_a_receipt_of_another_entry_is_not_borne_out(
    data_dir: Path,
    keys: AuditKeys,
) -> None:
    receipt = asyncio.run(receipts_of(data_dir, keys))[5]
    others = [
        Receipt(receipt.writer, receipt.seq + 1, receipt.hash),
        Receipt(receipt.writer, receipt.seq, "00" * 32),
        Receipt("nobody", 1, receipt.hash),
    ]

    report = verify(data_dir=data_dir, keys=keys, receipts=others)

    assert [p.problem for p in report.problems] == ["receipt_unknown"] * 3


def test_answers_and_bare_receipts_are_read_one_or_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "receipts"
    receipt = {"writer": "gw.1", "seq": 7, "hash": "ab"}
    read = Receipt("gw.1", 7, "ab")

    file.write_bytes(orjson.dumps({"id": "inf_1", "audit": receipt}))
    assert receipts_in(file) == [read]
    file.write_bytes(orjson.dumps(receipt) + b"\n\n" + orjson.dumps({"audit": receipt}) + b"\n")
    assert receipts_in(file) == [read, read]


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"no", b'{"audit": null}', b"7"])
def test_a_file_without_receipts_is_refused(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "receipts"
    file.write_bytes(raw)

    with pytest.raises(ValueError, match=r".*"):
        receipts_in(file)
