"""A house is policies, rules, capabilities, tools and adapters as their files say; with connections
it can answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from careweir.access import PolicySet
from careweir.capabilities import load_capabilities
from careweir.conflicts import load_rules
from careweir.errors import ConfigInvalid
from careweir.fanout import (
    Transport,
    Watchdog,
    Wire,
    contained,
    read_networks,
    tls_of,
    vendor_pool,
)
from careweir.fanout.lease import leased
from careweir.paths import policies_dir
from careweir.settings import Settings
from careweir.stages import House
from careweir.wiring.overrides import Clock
from careweir.wiring.secret_files import SecretFiles
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.registry import discover_adapters, load_tools
from careweir_kit.tool import Tool


def load_house(config: Path | None, *, endpoints: Mapping[str, str] | None = None) -> House:
    """Read policies, rules, capabilities and tools; raises ConfigInvalid or PolicyInvalid."""
    folder = policies_dir(config)
    adapters = discover_adapters()
    try:
        tools = load_tools(folder / "tools", adapters)
    except ToolFileInvalid as error:
        raise ConfigInvalid(str(error)) from None
    moved = {name: _at(tool, (endpoints or {}).get(name)) for name, tool in tools.items()}
    capabilities = load_capabilities(folder / "capabilities.yaml")
    for tool in moved.values():
        if unknown := set(tool.capabilities) - set(capabilities):
            raise ConfigInvalid(f"{tool.tool}.yaml: no such capability: {sorted(unknown)[0]}")
    return House(
        policies=PolicySet.load(folder),
        rules=load_rules(folder / "conflicts"),
        capabilities=capabilities,
        tools=moved,
        adapters=adapters,
    )


def _at(tool: Tool, endpoint: str | None) -> Tool:
    return tool.model_copy(update={"endpoints": {"default": (endpoint,)}}) if endpoint else tool


def watched(house: House, watchdog: Watchdog) -> House:
    """The same house, in which an adapter that hangs or crashes takes only itself down."""
    adapters = {
        name: replace(one, module=contained(name, one.module, watchdog))
        for name, one in house.adapters.items()
    }
    return replace(house, adapters=adapters)


def connected(house: House, settings: Settings, secrets: SecretFiles, clock: Clock) -> House:
    """A house with connections of its own; raises ConfigInvalid. Call within the event loop."""
    pools = {
        name: _pool(tool, settings, secrets, clock)
        for name, tool in house.tools.items()
        if house.adapters[tool.adapter].manifest.transport == "http"
    }
    return replace(house, transports=leased(pools))


def reader(
    settings: Settings,
    secrets: SecretFiles,
    watchdog: Watchdog,
    *,
    endpoints: Mapping[str, str] | None,
    clock: Clock,
) -> Callable[[], House]:
    """What reads the house again as its files say then; raises ConfigInvalid or PolicyInvalid."""

    def read() -> House:
        house = watched(load_house(settings.config, endpoints=endpoints), watchdog)
        return connected(house, settings, secrets, clock)

    return read


def _pool(tool: Tool, settings: Settings, secrets: SecretFiles, clock: Clock) -> Transport:
    """A client for one tool that is reached over HTTP; refuses what cannot be right."""
    for url in (url for urls in tool.endpoints.values() for url in urls):
        local = url.startswith("http://127.0.0.1:")
        if not (url.startswith("https://") or local or settings.allow_http_endpoints):
            raise ConfigInvalid(f"{tool.tool}.yaml: endpoints must be https")
    if tool.auth.kind == "oauth2" and (tool.auth.token_url or "").startswith("http://"):
        raise ConfigInvalid(f"{tool.tool}.yaml: auth.token_url must be https")
    tls = None
    if tool.tls is not None:
        tls = tls_of(tool.tool, tool.tls, settings.secrets_dir, now=clock())
    wire = Wire(read_networks(settings.private_networks), tls)
    return vendor_pool(tool, secrets.of(tool), wire=wire)
