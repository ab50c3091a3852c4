"""The pages and what stands in them: links, code, tables, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from support.paths import ROOT

_OTHERS = ("docs/fhir/",)  # written from the code and held to it by tests of their own
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Every page that these tests hold to the code."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(p for p in found if not str(p.relative_to(ROOT)).startswith(_OTHERS))


def name(page: Path) -> str:
    """A page's path in the repository."""
    return str(page.relative_to(ROOT))


def text(page: str) -> str:
    """A page's text."""
    return (ROOT / page).read_text(encoding="utf-8")


def fences(page: Path, *languages: str) -> Iterator[str]:
    """The fenced blocks of a page, in these languages if any are named."""
    for language, block in _FENCE.findall(page.read_text(encoding="utf-8")):
        if not languages or language in languages:
            yield block


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def inline_code(page: Path) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def links(page: Path) -> list[str]:
    """Targets of links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def first_column(page: str, heading: str) -> list[str]:
    """The code in the first cells of the table below a heading."""
    section = text(page).partition(f"{heading}\n")[2]
    rows = re.findall(r"^\| (`[^|]*) \|", re.split(r"^#+ ", section, flags=re.MULTILINE)[0], re.M)
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row)]


def commands(page: Path) -> Iterator[list[str]]:
    """Every ``careweir …`` command on a page, in fenced blocks and between backticks, as words."""
    blocks = [block.replace("\\\n", " ") for block in fences(page, "sh", "console")]
    lines = [line.removeprefix("$ ") for block in blocks for line in block.split("\n")]
    for line in [*lines, *inline_code(page)]:
        if line.startswith("careweir "):
            words = shlex.split(re.split(r"[|;>]", line)[0])
            if "…" not in words:
                yield words[1:]
