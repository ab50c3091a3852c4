"""Copy an audit trail and change one letter of one entry in the copy, as a forger might.

    python3 docs/examples/tamper.py careweir-data tampered

The purpose of the first disclosure becomes another one. The triggers that forbid an update are
put aside and put back, so that only the entry itself differs.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
from pathlib import Path


def main(source: Path, copy: Path) -> None:
    """Copy database and keys, then change the copy."""
    copy.mkdir()
    shutil.copytree(source / "keys", copy / "keys")
    original, forged = sqlite3.connect(source / "audit.db"), sqlite3.connect(copy / "audit.db")
    original.backup(forged)
    guard = "SELECT sql FROM sqlite_master WHERE name = 'audit_no_update'"
    (trigger,) = forged.execute(guard).fetchone()
    forged.execute("DROP TRIGGER audit_no_update")
    position, body = forged.execute(
        "SELECT position, body FROM audit_entry WHERE type = 'intent' ORDER BY position"
    ).fetchone()
    changed = body.replace(b'"purpose":"TREAT"', b'"purpose":"TREAY"', 1)
    forged.execute("UPDATE audit_entry SET body = ? WHERE position = ?", (changed, position))
    forged.execute(trigger)
    forged.commit()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
