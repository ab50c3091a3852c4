"""Options that every test folder shares, and the order of the folders."""

from __future__ import annotations

import pytest

# Folders that start gateways, browsers or databases: first, so that no worker ends alone with one.
LONG = (
    "jobs",
    "packaging",
    "drill",
    "e2e",
    "clients",
    "bench",
    "docs",
    "console",
    "audit",
    "faults",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``pytest tests/fhir --update-golden`` writes the golden files anew, for review."""
    parser.addoption("--update-golden", action="store_true", help="write golden files anew")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long folders before short ones; the order within a folder stays."""
    tests = config.rootpath / "tests"

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0] if item.path.is_relative_to(tests) else ""
        return LONG.index(folder) if folder in LONG else len(LONG)

    items.sort(key=place)
