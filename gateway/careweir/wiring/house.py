"""A house: policies, rules, capabilities, tools and adapters, as their files say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from careweir.access import PolicySet
from careweir.capabilities import load_capabilities
from careweir.conflicts import load_rules
from careweir.errors import ConfigInvalid
from careweir.fanout import Watchdog, contained
from careweir.ladder import check_ladders
from careweir.paths import policies_dir
from careweir.stages import House
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
    policies = PolicySet.load(folder)
    check_ladders(capabilities, moved, policies.purposes)
    return House(
        policies=policies,
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
