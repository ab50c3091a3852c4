"""Every alarm has an entry in the runbook, and the runbook has no other."""

from __future__ import annotations

import re

from docs.pages import text
from support.paths import ROOT

NOT_LOGGED = {
    "circuit open", "tool overloaded", "gateway overloaded", "not ready", "record too slow",
    "audit does not verify", "event loop lagged",
}  # fmt: skip


def test_every_error_that_is_logged_has_a_runbook_entry() -> None:
    logged: set[str] = set()
    for file in sorted((ROOT / "gateway" / "careweir").rglob("*.py")):
        said = re.findall(r'log\.error\(\s*"([^"]+)"', file.read_text("utf-8"))
        logged |= set(said)
    headings = set(re.findall(r"^## (.+)$", text("docs/runbook.md"), re.M))

    assert "tool held" in logged
    assert logged <= headings
    assert headings - logged == NOT_LOGGED
