"""``careweir adapter new``: a tool file with its recordings, or a package with an adapter."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from careweir.cli.out import Refused

_TOOL: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_ADAPTER: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_CODE: Final = ("manifest.yaml", "adapter.py", "simulator.py", "README.md")


def new_tool(name: str, into: Path) -> list[Path]:
    """A folder with a tool file on the declarative adapter and its recordings."""
    if _TOOL.fullmatch(name) is None:
        raise Refused("a tool is named with lower case letters, digits and hyphens")
    template = _template()
    files = {f"{name}.yaml": _text(template.joinpath("tool.yaml"), name)}
    return _write(into / name, files | _recordings(template))


def new_adapter(name: str, into: Path) -> list[Path]:
    """A package of its own with an adapter in code, found by its entry point once installed."""
    if _ADAPTER.fullmatch(name) is None:
        raise Refused("an adapter is named with lower case letters, digits and underscores")
    template = _template()
    package = f"{name}/"
    files = {package + file: _text(template.joinpath(f"{file}.txt"), name) for file in _CODE}
    example = _text(template.joinpath("tool.yaml"), name.replace("_", "-"))
    head, _, _ = example.partition("request:\n")
    files[package + "example_tool.yaml"] = (
        head.replace("adapter: rest", f"adapter: {name}").replace("auth:", "# auth:")
        + "simulator: {brain: made_up}\n"
    )
    files[package + "__init__.py"] = f'"""{name}: an adapter for careweir."""\n'
    files |= {package + path: text for path, text in _recordings(template).items()}
    files["pyproject.toml"] = _PYPROJECT.replace("NAME", name)
    return _write(into / name, files)


_PYPROJECT: Final = """[build-system]
requires = ["hatchling>=1.26"]
build-backend = "hatchling.build"

[project]
name = "NAME"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["careweir"]

[project.entry-points."careweir.adapters"]
NAME = "NAME"

[tool.hatch.build.targets.wheel]
packages = ["NAME"]
"""


def _recordings(template: Traversable) -> dict[str, str]:
    cassettes = json.loads(template.joinpath("cassettes.json").read_text(encoding="utf-8"))
    return {
        f"cassettes/{name}.json": json.dumps(value, indent=2) + "\n"
        for name, value in cassettes.items()
    }


def _template() -> Traversable:
    return resources.files("careweir_adapters").joinpath("_template")


def _text(file: Traversable, name: str) -> str:
    return file.read_text(encoding="utf-8").replace("NAME", name)


def _write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write every file; a folder that is there already is left alone."""
    if folder.exists():
        raise Refused(f"{folder} is there already")
    written = []
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        written.append(file)
    return written
