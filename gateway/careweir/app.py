"""The composition root: the only file that knows every concrete class."""

from __future__ import annotations

import asyncio
import gc
import hmac
import random
import signal
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from joserfc.jwk import KeySet
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse

from careweir import __version__
from careweir.access import PolicySet
from careweir.adjudication import SecondReader, build_adjudication, load_adjudication
from careweir.api import docs, openapi
from careweir.api.auth import TokenRules, TokenVerifier
from careweir.api.cds import CdsCors, CdsService, Feedback, load_clients
from careweir.api.cds import router as cds
from careweir.api.conflicts import router as conflicts
from careweir.api.fhir import FhirBase
from careweir.api.fhir import router as fhir
from careweir.api.middleware import BodyCap, CrashToProblem, RequestId
from careweir.api.problems import on_bad_parameter, on_gateway_error, on_http_error
from careweir.api.routes import Services, router
from careweir.audit import AuditKeys, AuditTrail, open_trail, verify
from careweir.audit.audit_event import Names
from careweir.audit.witness import FileWitness, SyslogWitness, Witness
from careweir.capabilities import load_capabilities
from careweir.conflicts import load_rules
from careweir.console import Console, verify_apart
from careweir.console import conflicts_router as console_conflicts
from careweir.console import router as console
from careweir.errors import ConfigInvalid, GatewayError
from careweir.fanout import (
    Guards,
    Transport,
    VendorPool,
    Watchdog,
    Wire,
    contained,
    read_networks,
    tls_of,
    vendor_pool,
)
from careweir.fanout.lease import leased
from careweir.feed import Feed, Syslog, Webhook
from careweir.holds import keep_looking, look
from careweir.ids import new_id
from careweir.jobs import (
    JOB,
    PUSHED,
    Announcer,
    Expected,
    Inferences,
    LateResults,
    Limits,
    Pushes,
    Runner,
    load_hooks,
)
from careweir.ledger import Ledger
from careweir.log import log
from careweir.paths import policies_dir
from careweir.pipeline import Expecting, Gateway
from careweir.reload import reload
from careweir.settings import Settings
from careweir.source import Source, load_sources
from careweir.stages import House
from careweir.state import State, StateKeys, open_state
from careweir.webhook import secret_bytes
from careweir_fhir import validate
from careweir_kit.errors import ToolFileInvalid
from careweir_kit.registry import discover_adapters, load_tools
from careweir_kit.strict_json import JsonRefused, decode
from careweir_kit.tool import Tool

DRAIN_S = 10.0

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the demo and the tests replace; production passes none."""

    endpoints: Mapping[str, str] | None = None  # tool -> base URL
    secrets: Mapping[str, str] | None = None
    token_rules: TokenRules | None = None
    clock: Clock = utc_now
    seed: int | None = None
    hold_s: float | None = None  # ends a hold by itself; None: a person does


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


def build_app(settings: Settings, overrides: Overrides | None = None) -> FastAPI:
    """The ASGI application; the trail and the vendors' connections open with its lifespan."""
    given = overrides or Overrides()
    house = load_house(settings.config, endpoints=given.endpoints)
    rules = given.token_rules or _token_rules(settings)
    watchdog = Watchdog()
    house = _watched(house, watchdog)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(validate.preload)  # so that no first answer waits for imports
        keys = AuditKeys.load_or_create(settings.keys_dir or settings.data / "keys")
        state = await _remember(settings, given.clock)
        trail = await _open(settings, keys, given.clock)
        wire = Wire(read_networks(settings.private_networks))
        sources = load_sources(
            policies_dir(settings.config),
            secret=lambda name: _secret(name, settings, given.secrets),
            clock=given.clock,
            wire=wire,
        )
        ledger = Ledger(trail, keys, new_id=new_id)
        hooks = load_hooks(settings.webhooks, allow_http=settings.allow_http_endpoints)
        expected = Expected(state, given.clock, max(settings.results_kept_s, 86_400))
        adjudication = build_adjudication(
            load_adjudication(policies_dir(settings.config) / "adjudication.yaml"),
            state,
            keys=keys,
            ledger=ledger,
            policies=lambda: gateway.house.policies,
            secret=lambda name: _secret(name, settings, given.secrets),
            clock=given.clock,
        )
        gateway = _gateway(
            settings,
            given,
            _opened(house, settings, given),
            ledger,
            keys,
            sources,
            adjudication.second,
            expected,
        )
        runner = Runner(state, owner=trail.writer, lease_s=settings.job_lease_s)
        hook_pool = VendorPool(headers={})
        announcer = Announcer(
            state,
            runner,
            hook_pool,
            hooks=hooks,
            secrets=_push_secrets({one.secret for one in hooks.values()}, settings, given),
            clock=given.clock,
        )
        inferences = Inferences(
            gateway,
            state,
            runner,
            limits=Limits(settings.results_kept_s, settings.job_deadline_s),
            clock=given.clock,
            new_id=new_id,
            patient_key=keys.patient_key,
            announce=announcer,
        )
        app.state.store = state
        LateResults(gateway, state, runner, ledger, sort=JOB, kind=PUSHED, announce=announcer)
        app.state.services = Services(
            gateway,
            verifier=TokenVerifier(rules, clock=given.clock),
            trail=trail,
            inferences=inferences,
            pushes=_pushes(settings, given, gateway, state, runner, ledger),
            ledger=ledger,
            adjudication=adjudication,
            deadline_ms_default=settings.deadline_ms_default,
        )
        await look(trail, gateway.guards)
        watchdog.start()
        watching = [
            asyncio.create_task(gateway.metrics.watch_loop()),
            adjudication.start(),
        ]
        if given.hold_s is None:
            watching.append(asyncio.create_task(keep_looking(trail, gateway.guards)))
        runner.start()  # after the holds are known: a job must not ask a tool that is held
        feeds = _feeds(settings, given, trail)
        for feed in feeds:
            feed.start()
        app.state.console = _console(settings, keys, trail, given.clock)
        names = Names(actor_system=rules.issuer) if rules else Names()
        app.state.fhir = FhirBase(settings.public_url, keys.patient_key, given.clock, names)
        clients = load_clients(
            policies_dir(settings.config), roles=house.policies.roles, clock=given.clock, wire=wire
        )
        feedback = Feedback(state, app.state.services.ledger, given.clock)
        app.state.cds = CdsService(clients, sources, feedback, settings.public_url)
        for name, adapter in house.adapters.items():
            if not adapter.loads:
                log.error("adapter not loaded", adapter=name)
        log.info("gateway ready", replica=settings.replica, tools=len(house.tools),
                 policy_revision=house.policies.revision)  # fmt: skip
        _on_hangup(app.state.services, partial(_reopened, settings, given, watchdog))
        gc.collect()
        gc.freeze()  # policies and rules live as long as the process: not searched again
        try:
            yield
        finally:
            await runner.close(drain_s=DRAIN_S)
            for task in watching:
                task.cancel()
            watchdog.stop()
            await adjudication.close()
            for transport in (*gateway.house.transports.values(), hook_pool):
                await transport.close()
            for source in sources.values():
                await source.close()
            await clients.close()
            for feed in feeds:
                await feed.stop()
            await trail.close()
            await state.close()

    app = FastAPI(
        title="careweir",
        version=__version__,
        description="One gate between a health system and all of its AI tools.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(CrashToProblem),
            Middleware(RequestId),
            Middleware(CdsCors, origins=settings.cds_origins.split()),
            Middleware(BodyCap, bytes_max=settings.body_bytes_max),
        ],
    )
    app.include_router(router)
    app.include_router(conflicts)
    app.include_router(fhir)
    app.include_router(cds)
    app.include_router(console_conflicts)
    app.include_router(console)
    app.add_exception_handler(GatewayError, on_gateway_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_bad_parameter)
    document = openapi.complete(app.openapi())
    app.openapi = lambda: document  # type: ignore[method-assign]
    app.add_route("/docs", lambda _request: HTMLResponse(docs.page(document)))
    return app


def _on_hangup(services: Services, read: Callable[[], House]) -> None:
    """SIGHUP reads policies and tools again, where this process may have its signals."""
    tasks: set[asyncio.Task[object]] = set()

    def start() -> None:
        task: asyncio.Task[object] = asyncio.create_task(
            reload(services.gateway, services.ledger, read)
        )
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    with suppress(RuntimeError, ValueError, NotImplementedError):  # not the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, start)


async def _open(settings: Settings, keys: AuditKeys, clock: Clock) -> AuditTrail:
    url = settings.database_url
    return await open_trail(
        data_dir=settings.data,  # beside PostgreSQL it holds the spool
        database_url=url.get_secret_value() if url else None,
        replica=settings.replica,
        keys=keys,
        clock=clock,
        witnesses=_witnesses(settings, clock),
        witness_required=settings.witness_required,
    )


async def _remember(settings: Settings, clock: Clock) -> State:
    """What is kept between requests, in the same kind of database as the record."""
    url = settings.database_url
    return await open_state(
        data_dir=settings.data,
        database_url=url.get_secret_value() if url else None,
        keys=StateKeys.load_or_create(settings.keys_dir or settings.data / "keys"),
        clock=clock,
    )


def _console(settings: Settings, keys: AuditKeys, trail: AuditTrail, clock: Clock) -> Console:
    """What the auditor's page needs beside the services: whose key, and how to verify."""
    url = settings.database_url.get_secret_value() if settings.database_url else None
    check = partial(
        verify,
        data_dir=None if url else settings.data,
        database_url=url,
        keys=keys,
        witness=settings.witness_file,
    )
    return Console(
        patient_key=keys.patient_key,
        verify=partial(verify_apart, check),
        clock=clock,
        last_checkpoint=trail.checkpoint,
    )


def _feeds(settings: Settings, given: Overrides, trail: AuditTrail) -> list[Feed]:
    """Who gets every entry sent on, beside the record."""
    receivers: list[Webhook | Syslog] = []
    if settings.feed_url is not None:
        token = _secret("feed-token", settings, given.secrets)
        receivers.append(Webhook(settings.feed_url, token))
    if settings.feed_syslog is not None:
        receivers.append(Syslog(settings.feed_syslog, clock=given.clock, replica=settings.replica))
    return [Feed(trail, receiver, settings.data) for receiver in receivers]


def _witnesses(settings: Settings, clock: Clock) -> list[Witness]:
    """Who else keeps the signed checkpoints, outside the database's power."""
    found: list[Witness] = []
    if settings.witness_file is not None:
        found.append(FileWitness(settings.witness_file))
    if settings.witness_syslog is not None:
        host, _, port = settings.witness_syslog.rpartition(":")
        found.append(SyslogWitness(host, int(port), clock=clock, replica=settings.replica))
    return found


def _gateway(
    settings: Settings,
    given: Overrides,
    house: House,
    ledger: Ledger,
    keys: AuditKeys,
    sources: Mapping[str, Source],
    second: SecondReader,
    expecting: Expecting,
) -> Gateway:
    return Gateway(
        house,
        ledger=ledger,
        second=second,
        sources=sources,
        pseudonym_key=hmac.digest(keys.patient, b"careweir vendor pseudonyms", "sha256"),
        clock=given.clock,
        new_id=new_id,
        guards=Guards(
            clock=asyncio.get_running_loop().time,
            rng=random.Random(given.seed),  # noqa: S311 - jitter, not a secret
            hold_s=given.hold_s,
        ),
        in_flight_max=settings.in_flight_max,
        expecting=expecting,
    )


def _pushes(
    settings: Settings,
    given: Overrides,
    gateway: Gateway,
    state: State,
    runner: Runner,
    ledger: Ledger,
) -> Pushes:
    """What takes the results that vendors send by themselves."""
    named = {
        name: tool.push.secret
        for name, tool in gateway.house.tools.items()
        if tool.push is not None and tool.push.secret is not None
    }
    found = _push_secrets(set(named.values()), settings, given)
    secrets = {name: found[secret] for name, secret in named.items()}
    return Pushes(gateway, state, runner, ledger, secrets=secrets, clock=given.clock)


def _push_secrets(names: Collection[str], settings: Settings, given: Overrides) -> dict[str, bytes]:
    """The keys of signed messages by the names of their secrets; all of them must be there."""
    found = {name: _secret(name, settings, given.secrets) for name in names}
    if missing := sorted(name for name, secret in found.items() if secret is None):
        raise ConfigInvalid(f"the secret {missing[0]} is not in the secrets folder")
    return {name: secret_bytes(secret) for name, secret in found.items() if secret is not None}


def _opened(house: House, settings: Settings, given: Overrides) -> House:
    """A house with connections of its own; raises ConfigInvalid."""
    return replace(house, transports=leased(_transports(house, settings, given)))


def _watched(house: House, watchdog: Watchdog) -> House:
    """The same house, in which an adapter that hangs or crashes takes only itself down."""
    watched = {
        name: replace(one, module=contained(name, one.module, watchdog))
        for name, one in house.adapters.items()
    }
    return replace(house, adapters=watched)


def _reopened(settings: Settings, given: Overrides, watchdog: Watchdog) -> House:
    """The house as its files say now; raises ConfigInvalid or PolicyInvalid."""
    house = _watched(load_house(settings.config, endpoints=given.endpoints), watchdog)
    return _opened(house, settings, given)


def _transports(house: House, settings: Settings, given: Overrides) -> dict[str, Transport]:
    """One client a tool that is reached over HTTP; refuses an endpoint that cannot be right."""
    pools: dict[str, Transport] = {}
    networks = read_networks(settings.private_networks)
    for name, tool in house.tools.items():
        if house.adapters[tool.adapter].manifest.transport != "http":
            continue
        for url in (url for urls in tool.endpoints.values() for url in urls):
            local = url.startswith("http://127.0.0.1:")
            if not (url.startswith("https://") or local or settings.allow_http_endpoints):
                raise ConfigInvalid(f"{name}.yaml: endpoints must be https")
        if tool.auth.kind == "oauth2" and (tool.auth.token_url or "").startswith("http://"):
            raise ConfigInvalid(f"{name}.yaml: auth.token_url must be https")
        tls = None
        if tool.tls is not None:
            tls = tls_of(name, tool.tls, settings.secrets_dir, now=given.clock())
        secrets = _secrets(tool, settings, given.secrets)
        pools[name] = vendor_pool(tool, secrets, wire=Wire(networks, tls))
    return pools


def _secrets(tool: Tool, settings: Settings, given: Mapping[str, str] | None) -> dict[str, str]:
    """The secrets that a tool file names."""
    found = {name: _secret(name, settings, given) for name in tool.auth.secrets}
    if None in found.values():
        raise ConfigInvalid(f"{tool.tool}.yaml: its secret is not in the secrets folder")
    return {name: value for name, value in found.items() if value is not None}


def _secret(name: str, settings: Settings, secrets: Mapping[str, str] | None) -> str | None:
    """A secret by its name: what the demo gives, else a file of the secrets folder."""
    file = settings.secrets_dir / name if settings.secrets_dir else None
    secret = (secrets or {}).get(name)
    if secret is None and file is not None and file.is_file():
        secret = file.read_text(encoding="utf-8").strip()
    return secret


def _token_rules(settings: Settings) -> TokenRules | None:
    if settings.token_issuer is None or settings.token_jwks is None:
        return None
    try:
        keys = KeySet.import_key_set(decode(settings.token_jwks.read_bytes()))
    except (OSError, JsonRefused, ValueError, KeyError):
        raise ConfigInvalid("CAREWEIR_TOKEN_JWKS: not a readable JWKS file") from None
    return TokenRules(
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        keys=keys,
        lifetime_max_s=settings.token_lifetime_max_s,
    )
