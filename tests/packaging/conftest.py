"""The packaging tests take seconds each; ``-m 'not slow'`` leaves them out."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker here: nothing else needs it."""
    config.addinivalue_line("markers", "slow: takes seconds; runs by default")
