"""``python -m careweir.access.write_schemas``: write ``policies/schema`` for editors."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from careweir.access.schema import FILES


def write_schemas(directory: Path) -> None:
    """Write one JSON schema for each kind of policy file."""
    for name, model in FILES.items():
        text = json.dumps(model.model_json_schema(), indent=2, ensure_ascii=False)
        (directory / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1] if len(sys.argv) > 1 else "policies/schema"))
