"""``careweir bench``: ratios."""


def bench() -> None:
    """Print ratios."""
