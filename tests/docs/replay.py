"""Commands that stand in the documents, run again, and what they print held against the page.

A ``console`` block holds commands (``$ …``) and under each what it prints. JSON is shown in lines
and shortened where ``…`` stands: in a string for anything, as the last item of a list for more
items, as a key for more members. Digits in text, and numbers, may differ from run to run.

``PYTHONPATH=tests python -m docs.replay`` writes the blocks anew with what the commands print now.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.paths import ROOT
from support.running import SOURCE_ROOTS, Served, environment, serving

PAGES = (
    "README.md",
    "docs/integrators.md",
    "docs/auditors.md",
    "docs/policy.md",
    "docs/vendors.md",
)
BASE_URL = "http://127.0.0.1:8080"  # as the pages have it; the replay takes the served one
MORE = "…"
WIDTH = 96
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "@@careweir-replay@@"
_WRITER = re.compile(r"\b(gateway-1\.)[0-9a-f]{16}\b")
_SHORT = (
    (re.compile(r"^([a-z]{3})_[0-9A-Z]{26}$"), r"\1_…"),
    (re.compile(r"^sha256:[0-9a-f]{64}$"), "sha256:…"),
    (re.compile(r"^[0-9a-f]{32,}$"), MORE),
    (_WRITER, r"\1…"),
    (re.compile(r"^(Patient/)?[a-z][a-z2-7]{26}$"), r"\1…"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a page and what the page says it prints."""

    command: str
    shown: str


def steps(text: str) -> list[Step]:
    """The commands of every console block of a page, in order."""
    return [step for block in _BLOCK.findall(text) for step in _steps(block)]


def _steps(block: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.split("\n")
        end = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
        yield Step("\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :]).strip())


def replayed(commands: list[str], gateway: Served, workspace: Path) -> list[str]:
    """Run the commands of one page in one shell, as a reader would; what each prints."""
    script = "".join(f"{command}\nprintf '\\n{_MARK}\\n'\n" for command in commands)
    base_url = str(gateway.client.base_url).rstrip("/")
    done = subprocess.run(
        ["bash", "-c", script.replace(BASE_URL, base_url)],
        cwd=_furnished(workspace, gateway),
        env=environment() | {"PATH": f"{workspace / 'bin'}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    printed = done.stdout.decode().replace(base_url, BASE_URL)
    return [part.strip() for part in printed.split(_MARK)[: len(commands)]]


def _furnished(workspace: Path, gateway: Served) -> Path:
    """A folder that looks like a checkout with a running demo; ``careweir`` is on the path."""
    (workspace / "bin").mkdir(parents=True)
    for name, arguments in (("careweir", " -m careweir"), ("python3", "")):
        file = workspace / "bin" / name
        paths = f"PYTHONPATH={SOURCE_ROOTS}"
        file.write_text(f'#!/bin/sh\n{paths} exec {sys.executable}{arguments} "$@"\n')
        file.chmod(0o755)
    for folder in ("docs", "adapters", "policies"):
        (workspace / folder).symlink_to(ROOT / folder)
    (workspace / "careweir-data").symlink_to(gateway.data)
    return workspace


# --- what a page shows against what was printed -----------------------------------------------


def parts(printed: str) -> list[Any]:
    """A print-out as JSON documents and, between them, the lines of text."""
    found: list[Any] = []
    decoder = json.JSONDecoder()
    while printed := printed.strip():
        if printed[0] in "{[":
            value, end = decoder.raw_decode(printed)
            found.append(value)
            printed = printed[end:]
            continue
        lines = re.split(r"^(?=[{\[])", printed, maxsplit=1, flags=re.MULTILINE)
        found.append(Counter(_undigited(line) for line in lines[0].strip().split("\n")))
        printed = "".join(lines[1:])
    return found


def _undigited(text: str) -> str:
    return re.sub(r"\d+", "0", _WRITER.sub(r"\1…", text))


def differences(shown: Any, real: Any, place: str = "$") -> Iterator[str]:
    """Where a page is not what was printed; see the module for what may differ."""
    if isinstance(shown, Counter) or isinstance(real, Counter):
        if shown != real:
            yield f"{place}: the text is another one: {real}"
    elif isinstance(shown, dict) and isinstance(real, dict):
        named = set(shown) - {MORE}
        if named - set(real) or (MORE not in shown and set(real) - named):
            yield f"{place}: members {sorted(set(real) ^ named)}"
        for name in named & set(real):
            yield from differences(shown[name], real[name], f"{place}.{name}")
    elif isinstance(shown, list) and isinstance(real, list):
        cut = shown[-1:] == [MORE]
        items = shown[:-1] if cut else shown
        if len(items) > len(real) or (not cut and len(items) != len(real)):
            yield f"{place}: {len(real)} items"
        for index, (one, other) in enumerate(zip(items, real, strict=False)):
            yield from differences(one, other, f"{place}[{index}]")
    elif isinstance(shown, str) and isinstance(real, str):
        pattern = ".*".join(re.escape(_undigited(part)) for part in shown.split(MORE))
        if not re.fullmatch(pattern, _undigited(real), re.DOTALL):
            yield f"{place}: {real!r}"
    elif type(shown) is not type(real) and not (_number(shown) and _number(real)):
        yield f"{place}: {type(real).__name__}"


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# --- writing the pages ------------------------------------------------------------------------


def rewritten(text: str, printed: list[str]) -> str:
    """The page with what its commands print now."""
    outputs = iter(printed)

    def block(found: re.Match[str]) -> str:
        shown = [_shown(step.command, next(outputs)) for step in _steps(found[1])]
        return "```console\n" + "".join(shown) + "```"

    return _BLOCK.sub(block, text)


def _shown(command: str, printed: str) -> str:
    out, decoder = "", json.JSONDecoder()
    while printed := printed.strip():
        if printed[0] in "{[":
            value, end = decoder.raw_decode(printed)
            out += _lines(shortened(value)) + "\n"
            printed = printed[end:]
            continue
        lines = re.split(r"^(?=[{\[])", printed, maxsplit=1, flags=re.MULTILINE)
        out += shortened(lines[0].strip()) + "\n"
        printed = "".join(lines[1:])
    return f"$ {command}\n{out}"


def shortened(value: Any) -> Any:
    """A value with ids, hashes, long lists and what is empty left out at ``…``."""
    if isinstance(value, str):
        for pattern, short in _SHORT:
            value = pattern.sub(short, value)
        return value
    if isinstance(value, list):
        most = 3 if all(isinstance(item, str | int) for item in value) else 2
        kept = [shortened(item) for item in value[:most]]
        return [*kept, MORE] if len(value) > most else kept
    if isinstance(value, dict):
        full = {k: shortened(v) for k, v in value.items() if v is not None and v != []}
        if len(value) - len(full) < 4:
            return {k: shortened(v) for k, v in value.items()}
        return full | {MORE: MORE}
    return value


def _lines(value: Any, indent: int = 0) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    inner = " " * (indent + 2)
    if isinstance(value, list):
        items = [_lines(item, indent + 2) for item in value]
        return "[\n" + ",\n".join(inner + item for item in items) + "\n" + " " * indent + "]"
    members = [f"{json.dumps(k, ensure_ascii=False)}: {_lines(v, indent + 2)}"
               for k, v in value.items()]  # fmt: skip
    return "{\n" + ",\n".join(inner + member for member in members) + "\n" + " " * indent + "}"


def main() -> None:
    """Write the console blocks of every page anew."""
    with tempfile.TemporaryDirectory() as name, serving(Path(name) / "data") as gateway:
        for page in PAGES:
            file = ROOT / page
            text = file.read_text(encoding="utf-8")
            commands = [step.command for step in steps(text)]
            workspace = Path(name) / file.stem
            printed = replayed(commands, gateway, workspace)
            assert "Traceback" not in "".join(printed), f"{page}: a command crashed"
            file.write_text(rewritten(text, printed), encoding="utf-8")
            sys.stderr.write(f"{page}: {len(commands)} commands\n")


if __name__ == "__main__":
    main()
