"""Which adapters and tools there are: discovered, sorted, checked at start-up, never listed.

An adapter is a folder of ``careweir_adapters`` with a ``manifest.yaml``, or a package named by an
entry point of the group ``careweir.adapters``. A tool is a YAML file in a directory that the
caller names. Anything that cannot be used refuses to start: a tool that is silently left out
would look like a tool that agreed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module, resources
from importlib.metadata import entry_points
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from pydantic import ValidationError

from careweir_kit.adapter import (
    AdapterManifest,
    Ask,
    HttpAdapter,
    InProcessAdapter,
    Parsed,
    VendorAnswer,
    VendorRequest,
    Verdict,
)
from careweir_kit.errors import ToolFileInvalid, VendorProtocolBroken, VendorUnavailable
from careweir_kit.mapping import places
from careweir_kit.push import PushAdapter
from careweir_kit.strict_yaml import YamlRefused, load_mapping
from careweir_kit.tool import Tool

BUILT_IN = "careweir_adapters"
ENTRY_POINTS = "careweir.adapters"


@dataclass(frozen=True, slots=True)
class LoadedAdapter:
    """One adapter: its facts, its module and the folder with its recordings."""

    name: str
    manifest: AdapterManifest
    module: ModuleType
    folder: Traversable
    example_tool: Tool | None
    loads: bool = True  # False: its import failed, and its tools are down

    @property
    def http(self) -> HttpAdapter:
        """The module of an adapter with ``transport: http``."""
        return cast(HttpAdapter, self.module)

    @property
    def push(self) -> PushAdapter | None:
        """The same module where the vendor may send results by itself, else None."""
        return cast(PushAdapter, self.module) if self.manifest.pushes else None

    @property
    def in_process(self) -> InProcessAdapter:
        """The module of an adapter with ``transport: in_process``."""
        return cast(InProcessAdapter, self.module)


def discover_adapters(built_in: str = BUILT_IN) -> dict[str, LoadedAdapter]:
    """Every adapter by name, sorted. Raises ToolFileInvalid."""
    found: dict[str, LoadedAdapter] = {}
    for package in (*_folders(built_in), *_third_party()):
        loaded = _load(package)
        if loaded.name in found:
            raise ToolFileInvalid(f"adapter {loaded.name}: two packages have this name")
        found[loaded.name] = loaded
    return dict(sorted(found.items()))


def _folders(built_in: str) -> Iterator[str]:
    try:
        root = resources.files(built_in)
    except ModuleNotFoundError:
        return
    for folder in sorted(root.iterdir(), key=lambda item: item.name):
        if folder.name != "_template" and folder.joinpath("manifest.yaml").is_file():
            yield f"{built_in}.{folder.name}"


def _third_party() -> Iterator[str]:
    for entry_point in sorted(entry_points(group=ENTRY_POINTS), key=lambda item: item.value):
        yield entry_point.value


def _load(package: str) -> LoadedAdapter:
    folder = resources.files(package)
    name = package.rpartition(".")[2]
    place = f"{name}/manifest.yaml"
    manifest = _manifest(folder.joinpath("manifest.yaml").read_text(encoding="utf-8"), place)
    if manifest.adapter != name:
        raise ToolFileInvalid(f"{place}: adapter: is not the name of its folder")
    module, loads = _module(f"{package}.adapter")
    example = folder.joinpath("example_tool.yaml")
    tool = None
    if example.is_file():
        tool = tool_of(example.read_text(encoding="utf-8"), f"{name}/example_tool.yaml")
        if tool.adapter != name:
            raise ToolFileInvalid(f"{name}/example_tool.yaml: adapter: is another adapter")
    return LoadedAdapter(name, manifest, module, folder, tool, loads)


def _module(name: str) -> tuple[ModuleType, bool]:
    """The module, or where its import fails a stand-in whose tools are all down."""
    try:
        return import_module(name), True
    except Exception:  # whatever an import runs into: it is one adapter's, not the gateway's
        return cast(ModuleType, _NotLoaded()), False


class _NotLoaded:
    """An adapter that cannot be imported: its tools say that they are down, all others work."""

    def check_tool(self, tool: Tool) -> None:
        """Nothing can be checked."""

    def build_request(self, tool: Tool, ask: Ask) -> VendorRequest:
        """Nothing can be asked."""
        raise VendorUnavailable("its adapter cannot be loaded")

    def classify_answer(self, tool: Tool, answer: VendorAnswer) -> Verdict:
        """Nothing can be read."""
        return Verdict("protocol_broken", "its adapter cannot be loaded")

    def parse_findings(self, tool: Tool, ask: Ask | None, answer: VendorAnswer) -> Parsed:
        """Nothing can be read."""
        raise VendorProtocolBroken("its adapter cannot be loaded")

    def compute(self, tool: Tool, ask: Ask) -> Parsed:
        """Nothing can be computed."""
        raise VendorUnavailable("its adapter cannot be loaded")


def _manifest(text: str, place: str) -> AdapterManifest:
    try:
        return AdapterManifest.model_validate(load_mapping(text))
    except YamlRefused as refusal:
        raise ToolFileInvalid(f"{place}: {refusal}") from None
    except ValidationError as error:
        raise ToolFileInvalid(f"{place}: {places(error)}") from None


def tool_of(text: str, place: str) -> Tool:
    """Read the text of a tool file. Raises ToolFileInvalid, which names ``place`` and field."""
    try:
        return Tool.model_validate(load_mapping(text))
    except YamlRefused as refusal:
        raise ToolFileInvalid(f"{place}: {refusal}") from None
    except ValidationError as error:
        raise ToolFileInvalid(f"{place}: {places(error)}") from None


def load_tool(path: Path, adapters: Mapping[str, LoadedAdapter]) -> Tool:
    """Read and check one tool file, whatever its name. Raises ToolFileInvalid."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ToolFileInvalid(f"{path.name}: cannot be read") from None
    tool = tool_of(text, path.name)
    loaded = adapters.get(tool.adapter)
    if loaded is None:
        raise ToolFileInvalid(f"{path.name}: adapter: no adapter has this name")
    _check_http(tool, loaded, path.name)
    loaded.http.check_tool(tool)
    return tool


def _check_http(tool: Tool, loaded: LoadedAdapter, place: str) -> None:
    if loaded.manifest.transport == "http" and "default" not in tool.endpoints:
        raise ToolFileInvalid(f"{place}: endpoints: there is no default")
    if not all(tool.endpoints.values()):
        raise ToolFileInvalid(f"{place}: endpoints: a site has none")
    if tool.auth.kind != "none" and not tool.auth.secret:
        raise ToolFileInvalid(f"{place}: auth.secret: the name of a secret is missing")
    if tool.auth.kind == "oauth2" and not (tool.auth.client_id and tool.auth.token_url):
        raise ToolFileInvalid(f"{place}: auth: oauth2 needs client_id and token_url")
    if tool.auth.kind == "aws-sigv4" and not (tool.auth.service and tool.auth.region):
        raise ToolFileInvalid(f"{place}: auth: aws-sigv4 needs service and region")


def load_tools(directory: Path, adapters: Mapping[str, LoadedAdapter]) -> dict[str, Tool]:
    """Every ``*.yaml`` of a directory by tool id, sorted. Raises ToolFileInvalid."""
    found: dict[str, Tool] = {}
    for path in sorted(directory.glob("*.yaml")):
        tool = load_tool(path, adapters)
        if tool.tool != path.stem:
            raise ToolFileInvalid(f"{path.name}: tool: is not the name of the file")
        found[tool.tool] = tool
    return found


def replay(
    adapter: LoadedAdapter, tool: Tool, answer: VendorAnswer, *, ask: Ask | None = None
) -> dict[str, Any]:
    """Run a recorded vendor answer through an adapter; never raises on the vendor's bytes.

    Returns ``{"outcome", "completeness", "findings", "model", "error"}``; ``outcome`` is the class
    of the answer, or ``wrong_patient`` when the answer names two patients.
    """
    if adapter.manifest.transport == "in_process":
        return _replayed("bad_request", error=("not_replayable", "computed in process"))
    try:
        verdict = adapter.http.classify_answer(tool, answer)
        if verdict.answer_class not in ("ok", "partial"):
            code = verdict.answer_class
            return _replayed(code, error=(code, verdict.note or "no usable answer"))
        return _of_parsed(verdict, adapter.http.parse_findings(tool, ask, answer))
    except VendorProtocolBroken as broken:
        return _replayed("protocol_broken", error=("protocol_broken", str(broken)))
    except Exception:  # the bulkhead: an adapter's own fault must not become a traceback with data
        detail = "the adapter failed on this answer"
        return _replayed("protocol_broken", error=("adapter_crashed", detail))


def _of_parsed(verdict: Verdict, parsed: Parsed) -> dict[str, Any]:
    if len(set(parsed.echoes)) > 1:
        detail = "the answer names more than one patient"
        return _replayed("wrong_patient", error=("wrong_patient", detail))
    cut = verdict.answer_class == "partial" or parsed.completeness == "partial"
    model = None
    if parsed.model_name or parsed.model_version:
        model = {"name": parsed.model_name, "version": parsed.model_version}
    return {
        "outcome": "partial" if cut else verdict.answer_class,
        "completeness": "partial" if cut else "full",
        "findings": [finding.model_dump(mode="json") for finding in parsed.findings],
        "model": model,
        "error": {"code": "partial", "detail": verdict.note or "; ".join(parsed.notes)}
        if cut
        else None,
    }


def _replayed(outcome: str, *, error: tuple[str, str]) -> dict[str, Any]:
    code, detail = error
    return {
        "outcome": outcome,
        "completeness": "none",
        "findings": [],
        "model": None,
        "error": {"code": code, "detail": detail},
    }
