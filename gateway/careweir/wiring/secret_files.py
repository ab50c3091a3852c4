"""The secrets that policies and tool files name: files of one folder, never values in YAML."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from careweir.errors import ConfigInvalid
from careweir.webhook import secret_bytes
from careweir_kit.tool import Tool


class SecretFiles:
    """Secrets by name: what a demonstration gives, else a file of ``folder``."""

    def __init__(self, folder: Path | None, given: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._given = given or {}

    def find(self, name: str) -> str | None:
        """The secret of this name without the line's end, or None."""
        if name in self._given:
            return self._given[name]
        file = self._folder / name if self._folder else None
        return file.read_text(encoding="utf-8").strip() if file and file.is_file() else None

    def of(self, tool: Tool) -> dict[str, str]:
        """The secrets that a tool file names for its calls; raises ConfigInvalid if one is away."""
        found = {name: self.find(name) for name in tool.auth.secrets}
        if None in found.values():
            raise ConfigInvalid(f"{tool.tool}.yaml: its secret is not in the secrets folder")
        return {name: value for name, value in found.items() if value is not None}

    def signing(self, names: Collection[str]) -> dict[str, bytes]:
        """The keys of signed messages by their names; raises ConfigInvalid if one is away."""
        found = {name: self.find(name) for name in names}
        if missing := sorted(name for name, secret in found.items() if secret is None):
            raise ConfigInvalid(f"the secret {missing[0]} is not in the secrets folder")
        return {name: secret_bytes(secret) for name, secret in found.items() if secret is not None}
