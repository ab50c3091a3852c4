"""An export verifies like its database, and a changed one is caught."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.conftest import exported, tampered
from careweir.audit import AuditKeys, verify


def test_an_export_verifies_like_its_database(data_dir: Path, keys: AuditKeys) -> None:
    target = data_dir / "export.ndjson"
    asyncio.run(exported(data_dir, keys, target))

    report = verify(export=target, keys=keys)

    assert (report.status, report.entries, report.writers) == ("clean", 125, 3)


ExportChange = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        (lambda x: [*x[:9], x[9].replace(b"acme", b"evil"), *x[10:]], "tampered", "body_changed"),
        (lambda x: [*x[:9], *x[10:]], "tampered", "sequence_gap"),
        (lambda x: [*x[:9], x[10], x[9], *x[11:]], "tampered", "sequence_gap"),
        (lambda x: [*x[:9], b"garbage\n", *x[10:]], "tampered", "unreadable"),
        (lambda x: x[:-1], "incomplete", "export_cut"),
        (lambda x: x[:60], "incomplete", "export_cut"),
        (lambda x: [b'{"careweir_audit":9}\n', *x[1:]], "incomplete", "schema_unknown"),
    ],
)
def test_a_changed_export_is_caught(
    data_dir: Path, keys: AuditKeys, change: ExportChange, status: str, problem: str
) -> None:
    target = data_dir / "export.ndjson"
    asyncio.run(exported(data_dir, keys, target))
    lines = target.read_bytes().splitlines(keepends=True)
    target.write_bytes(b"".join(change(lines)))

    report = verify(export=target, keys=keys)

    assert report.status == status
    assert report.first_bad is not None
    assert problem in {p.problem for p in report.problems}


def test_bodies_that_are_no_json_any_more_survive_an_export(
    data_dir: Path, keys: AuditKeys
) -> None:
    tampered(data_dir, "UPDATE audit_entry SET body = x'ff0a7b' WHERE position = 9")
    target = data_dir / "export.ndjson"
    asyncio.run(exported(data_dir, keys, target))

    bad = verify(export=target, keys=keys).first_bad

    assert bad is not None
    assert (bad.problem, bad.seq) == ("body_changed", 9)


def test_an_absent_export_is_incomplete(tmp_path: Path) -> None:
    assert verify(export=tmp_path / "nothing").exit_code == 2
