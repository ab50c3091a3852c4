"""Where the shipped policies are: in the wheel beside the code, in a checkout at the root."""

from __future__ import annotations

from pathlib import Path

from careweir.errors import ConfigInvalid

_HERE = Path(__file__).resolve().parent


def policies_dir(config: Path | None) -> Path:
    """The site's own folder when one is configured, otherwise the shipped policies."""
    if config is not None:
        if not (config / "roles.yaml").is_file():
            raise ConfigInvalid("--config must name a folder of policies (no roles.yaml there)")
        return config
    for folder in (_HERE / "policies", _HERE.parent.parent / "policies"):
        if (folder / "roles.yaml").is_file():
            return folder
    raise ConfigInvalid("the shipped policies are missing from this installation")
