"""The shipped rule book, loaded once, and the own cases as findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from careweir.conflicts import RuleBook, load_rules

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def rules() -> RuleBook:
    """The rule book that ships with careweir."""
    return load_rules(ROOT / "policies" / "conflicts")
