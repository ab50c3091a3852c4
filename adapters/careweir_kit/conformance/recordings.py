"""The recordings of an adapter, and what must come out of them.

``cassettes/NAME.json`` holds a recorded answer, a recorded question, or both:

    {"status", "headers", "body"}                 an answer; ``body_base64`` where it is not text
    {"ask": {"subject", "payload", "as_of"}}      a question
    both                                          an answer that is read with its question

A further ``"tool": "NAME"`` takes ``tools/NAME.yaml`` of the folder instead of the example tool.

``golden/NAME.json`` holds what comes out: what ``replay`` gives for an answer; ``request`` for a
question, or ``missing`` where it cannot be asked; the findings for one computed in process.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from careweir_kit.adapter import Ask, VendorAnswer, VendorRequest
from careweir_kit.errors import InputsMissing
from careweir_kit.registry import LoadedAdapter, replay, tool_of
from careweir_kit.tool import Tool

JSON: Final[Mapping[str, str]] = {"content-type": "application/json"}
REQUEST_ID: Final = "replay"


@dataclass(frozen=True, slots=True)
class Recording:
    """One cassette."""

    name: str
    answer: VendorAnswer | None
    ask: Ask | None
    tool: str | None = None  # a file of ``tools/``, without its suffix


def recordings_of(adapter: LoadedAdapter) -> list[Recording]:
    """Every cassette, sorted by name. Raises ValueError when one cannot be read."""
    default = headers_of(adapter)
    found = texts(adapter, "cassettes")
    return [_recording(name, json.loads(text), default) for name, text in found]


def headers_of(adapter: LoadedAdapter) -> dict[str, str]:
    """The headers of an answer whose recording has none."""
    return {"content-type": adapter.manifest.content_type}


def _recording(name: str, value: Mapping[str, Any], default: Mapping[str, str]) -> Recording:
    answer, ask = None, None
    if "status" in value:
        encoded = value.get("body_base64")
        body = base64.b64decode(encoded) if encoded else str(value["body"]).encode()
        answer = VendorAnswer(value["status"], value.get("headers", default), body)
    if "ask" in value:
        asked = value["ask"]
        ask = Ask(asked["subject"], REQUEST_ID, asked["payload"], asked["as_of"], 1000)
    if answer is None and ask is None:
        raise ValueError(f"cassettes/{name}.json holds neither an answer nor a question")
    return Recording(name, answer, ask, value.get("tool"))


def tool_of_recordings(adapter: LoadedAdapter, name: str) -> Tool:
    """A tool file of the adapter's own ``tools/``. Raises ToolFileInvalid or OSError."""
    file = adapter.folder.joinpath("tools", f"{name}.yaml")
    tool = tool_of(file.read_text(encoding="utf-8"), f"{adapter.name}/tools/{name}.yaml")
    adapter.http.check_tool(tool)
    return tool


def texts(adapter: LoadedAdapter, part: str) -> Iterator[tuple[str, str]]:
    """The JSON files of one subfolder by name, sorted."""
    folder = adapter.folder.joinpath(part)
    if not folder.is_dir():
        return
    for file in sorted(folder.iterdir(), key=lambda item: item.name):
        if file.name.endswith(".json"):
            yield file.name.removesuffix(".json"), file.read_text(encoding="utf-8")


def outcome_of(adapter: LoadedAdapter, tool: Tool, recording: Recording) -> dict[str, Any]:
    """What comes out of one recording now: what its golden file must hold."""
    if adapter.manifest.transport == "in_process":
        assert recording.ask is not None
        return computed(adapter, tool, recording.ask)
    found: dict[str, Any] = {}
    if recording.ask is not None:
        found |= requested(adapter, tool, recording.ask)
    if recording.answer is not None:
        found |= replay(adapter, tool, recording.answer, ask=recording.ask)
    return found


def computed(adapter: LoadedAdapter, tool: Tool, ask: Ask) -> dict[str, Any]:
    """What an adapter in process makes of a recorded question, as JSON."""
    try:
        parsed = adapter.in_process.compute(tool, ask)
    except InputsMissing as missing:
        return {"missing": list(missing.names)}
    return {"findings": [finding.model_dump(mode="json") for finding in parsed.findings]}


def requested(adapter: LoadedAdapter, tool: Tool, ask: Ask) -> dict[str, Any]:
    """The request that a recorded question becomes, as JSON."""
    try:
        return {"request": _as_json(adapter.http.build_request(tool, ask))}
    except InputsMissing as missing:
        return {"missing": list(missing.names)}


def _as_json(request: VendorRequest) -> dict[str, Any]:
    body: Any
    try:
        body = json.loads(request.body) if request.body else None
    except ValueError:
        body = request.body.decode("utf-8", "backslashreplace")
    return {
        "method": request.method,
        "path": request.path,
        "headers": dict(request.headers),
        "body": body,
        "without": list(request.without),
    }


def accept(adapter: LoadedAdapter, tool: Tool) -> list[str]:
    """Write what comes out of each recording now as its golden file, for its author to read.

    Returns the names that changed. Raises ValueError where the folder is not one of plain files.
    """
    if not isinstance(adapter.folder, Path):
        raise ValueError("the adapter is not in a plain folder")
    folder = adapter.folder / "golden"
    folder.mkdir(exist_ok=True)
    changed = []
    for recording in recordings_of(adapter):
        own = tool_of_recordings(adapter, recording.tool) if recording.tool else tool
        outcome = outcome_of(adapter, own, recording)
        file = folder / f"{recording.name}.json"
        if not file.is_file() or json.loads(file.read_text(encoding="utf-8")) != outcome:
            text = json.dumps(outcome, indent=2, ensure_ascii=False) + "\n"
            file.write_text(text, encoding="utf-8")
            changed.append(recording.name)
    return changed
