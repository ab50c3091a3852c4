"""Options that every test folder shares."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``pytest tests/fhir --update-golden`` writes the golden files anew, for review."""
    parser.addoption("--update-golden", action="store_true", help="write golden files anew")
