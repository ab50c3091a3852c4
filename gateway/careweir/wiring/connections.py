"""How the tools of a house are reached: one client each, and nothing that cannot be right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from careweir.errors import ConfigInvalid
from careweir.fanout import Transport, Watchdog, Wire, read_networks, tls_of, vendor_pool
from careweir.fanout.lease import leased
from careweir.fanout.wire import Network
from careweir.settings import Settings
from careweir.stages import House
from careweir.wiring.house import load_house, watched
from careweir.wiring.overrides import Clock
from careweir.wiring.secret_files import SecretFiles
from careweir_kit.tool import Tool


def connected(house: House, settings: Settings, secrets: SecretFiles, clock: Clock) -> House:
    """A house with connections of its own; raises ConfigInvalid. Call within the event loop."""
    networks = read_networks(settings.private_networks)
    pools = {
        name: _pool(tool, settings, secrets, clock, networks)
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


def _pool(
    tool: Tool,
    settings: Settings,
    secrets: SecretFiles,
    clock: Clock,
    networks: tuple[Network, ...],
) -> Transport:
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
    return vendor_pool(tool, secrets.of(tool), wire=Wire(networks, tls))
