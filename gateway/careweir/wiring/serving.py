"""A gateway that serves: everything opened in order, and closed in the opposite order."""

from __future__ import annotations

import asyncio
import hmac
import random
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI

from careweir.adjudication import Adjudication, build_adjudication, load_adjudication
from careweir.api.auth import TokenRules, TokenVerifier
from careweir.api.cds import CdsService, Feedback, load_clients
from careweir.api.fhir import FhirBase
from careweir.api.rates import Rate, Rates, load_rates
from careweir.api.services import Services
from careweir.api.static_tokens import StaticTokens, load_static_tokens
from careweir.audit import AuditKeys, AuditTrail
from careweir.audit.audit_event import Names
from careweir.fanout import Guards, VendorPool, Watchdog, Wire, read_networks
from careweir.holds import keep_looking, look
from careweir.ids import new_id
from careweir.jobs import (
    Announcer,
    Expected,
    Inferences,
    LateLedger,
    LateResults,
    Limits,
    Lingering,
    Polls,
    Pushes,
    Runner,
    load_hooks,
)
from careweir.ledger import Ledger
from careweir.log import log
from careweir.pace import Pace
from careweir.paths import policies_dir
from careweir.pipeline import Gateway
from careweir.previous import PreviousAnswers
from careweir.reload import reload
from careweir.settings import Settings
from careweir.source import Source, load_sources
from careweir.stages import House
from careweir.state import State
from careweir.wiring.connections import connected, reader
from careweir.wiring.overrides import Overrides
from careweir.wiring.records import console_of, feeds_of, load_keys, open_memory, open_record
from careweir.wiring.secret_files import SecretFiles

# What SIGTERM leaves to open requests and then to jobs, which run on meanwhile: 25 s in all.
REQUESTS_DRAIN_S = 18
JOBS_DRAIN_S = 5.0
EXPECTED_MIN_S = 86_400  # a pushed result may come this late


@dataclass(frozen=True, slots=True)
class _Kept:
    """What outlives a request."""

    keys: AuditKeys
    state: State
    trail: AuditTrail
    ledger: Ledger


class Serving:
    """One gateway in one process; ``start`` opens it, leaving ``closing`` closes it again."""

    def __init__(
        self, settings: Settings, given: Overrides, house: House, rules: TokenRules | None
    ) -> None:
        self._settings = settings
        self._given = given
        self._clock = given.clock
        self._house = house
        self._rules = rules
        self._secrets = SecretFiles(settings.secrets_dir, given.secrets)
        self._policies = policies_dir(settings.config)
        self._wire = Wire(read_networks(settings.private_networks))

    async def start(self, app: FastAPI, watchdog: Watchdog, closing: AsyncExitStack) -> None:
        """Open everything and put it on ``app.state``; what was opened is closed if this fails."""
        kept = await self._keep(closing)
        sources = self._sources(closing)
        adjudication = self._adjudication(kept, lambda: gateway)
        runner = Runner(kept.state, owner=kept.trail.writer, lease_s=self._settings.job_lease_s)
        gateway = self._gateway(kept, adjudication, sources, runner, closing)
        announcer = self._announcer(kept, runner, closing)
        late = LateLedger(kept.trail)
        inferences = self._inferences(kept, gateway, runner, announcer, late)
        closing.push_async_callback(inferences.answers.close)
        LateResults(gateway, kept.state, runner, late, announce=announcer)
        Polls(gateway, kept.state, runner, late, clock=self._clock)
        verifier = TokenVerifier(
            self._rules, clock=self._clock, rates=self._rates(gateway), static=self._static()
        )
        closing.push_async_callback(verifier.close)
        services = Services(
            gateway,
            verifier=verifier,
            trail=kept.trail,
            inferences=inferences,
            pushes=self._pushes(kept, gateway, runner),
            ledger=kept.ledger,
            adjudication=adjudication,
            deadline_ms_default=self._settings.deadline_ms_default,
        )
        await self._fill(app, services, kept, sources, closing)
        await look(kept.trail, gateway.guards)
        watchdog.start()
        closing.callback(watchdog.stop)
        self._watch(gateway, adjudication, kept.trail, closing)
        closing.push_async_callback(adjudication.close)
        runner.start()  # after the holds are known: a job must not ask a tool that is held
        closing.push_async_callback(partial(runner.close, drain_s=JOBS_DRAIN_S))
        again = reader(
            self._settings,
            self._secrets,
            watchdog,
            endpoints=self._given.endpoints,
            clock=self._clock,
        )
        _on_hangup(services, again)

    async def _keep(self, closing: AsyncExitStack) -> _Kept:
        keys = load_keys(self._settings)
        state = await open_memory(self._settings, self._clock)
        closing.push_async_callback(state.close)
        trail = await open_record(self._settings, keys, self._clock)
        closing.push_async_callback(trail.close)
        for feed in feeds_of(self._settings, self._secrets, trail, self._clock):
            feed.start()
            closing.push_async_callback(feed.stop)
        return _Kept(keys, state, trail, Ledger(trail, keys, new_id=new_id))

    def _sources(self, closing: AsyncExitStack) -> dict[str, Source]:
        """The FHIR servers that charts may be pulled from."""
        sources = load_sources(
            self._policies, secret=self._secrets.find, clock=self._clock, wire=self._wire
        )
        for source in sources.values():
            closing.push_async_callback(source.close)
        return sources

    def _adjudication(self, kept: _Kept, gateway: Callable[[], Gateway]) -> Adjudication:
        return build_adjudication(
            load_adjudication(self._policies / "adjudication.yaml"),
            kept.state,
            keys=kept.keys,
            ledger=kept.ledger,
            policies=lambda: gateway().house.policies,
            secret=self._secrets.find,
            clock=self._clock,
        )

    def _gateway(
        self,
        kept: _Kept,
        adjudication: Adjudication,
        sources: dict[str, Source],
        runner: Runner,
        closing: AsyncExitStack,
    ) -> Gateway:
        kept_s = max(self._settings.results_kept_s, EXPECTED_MIN_S)
        gateway = Gateway(
            connected(self._house, self._settings, self._secrets, self._clock),
            ledger=kept.ledger,
            second=adjudication.second,
            previous=PreviousAnswers(kept.state, keyed=kept.keys.patient_key, clock=self._clock),
            sources=sources,
            pseudonym_key=hmac.digest(kept.keys.patient, b"careweir vendor pseudonyms", "sha256"),
            clock=self._clock,
            new_id=new_id,
            guards=Guards(
                clock=asyncio.get_running_loop().time,
                rng=random.Random(self._given.seed),  # noqa: S311 - jitter, not a secret
                hold_s=self._given.hold_s,
                failures_min=self._given.failures_min,
            ),
            pace=Pace(self._settings.in_flight_max, clock=asyncio.get_running_loop().time),
            expecting=Expected(kept.state, self._clock, kept_s),
            lingering=Lingering(kept.state, runner, self._clock).about,
        )
        closing.push_async_callback(partial(_close_connections, gateway))
        return gateway

    def _rates(self, gateway: Gateway) -> Rates:
        """How often each application may ask."""
        said = Rate(self._settings.rate_per_s, self._settings.rate_burst)
        return Rates(
            self._given.rate or said,
            load_rates(self._settings.rates),
            monotonic=time.monotonic,
            refused=gateway.metrics.over_rate,
        )

    def _static(self) -> StaticTokens:
        """The tokens of old engines. Each start says how many there are: there should be none."""
        found = load_static_tokens(
            self._settings.static_tokens,
            roles=self._house.policies.roles,
            capabilities=self._house.capabilities,
            clock=self._clock,
        )
        if found:
            log.warning("static tokens are accepted", count=len(found))
        return found

    def _announcer(self, kept: _Kept, runner: Runner, closing: AsyncExitStack) -> Announcer:
        """What tells applications of results that came late."""
        hooks = load_hooks(self._settings.webhooks, allow_http=self._settings.allow_http_endpoints)
        pool = VendorPool(headers={})
        closing.push_async_callback(pool.close)
        secrets = self._secrets.signing({one.secret for one in hooks.values()})
        return Announcer(kept.state, runner, pool, hooks=hooks, secrets=secrets, clock=self._clock)

    def _inferences(
        self,
        kept: _Kept,
        gateway: Gateway,
        runner: Runner,
        announcer: Announcer,
        ledger: LateLedger,
    ) -> Inferences:
        return Inferences(
            gateway,
            kept.state,
            runner,
            limits=Limits(self._settings.results_kept_s, self._settings.job_deadline_s),
            clock=self._clock,
            new_id=new_id,
            patient_key=kept.keys.patient_key,
            ledger=ledger,
            announce=announcer,
        )

    def _pushes(self, kept: _Kept, gateway: Gateway, runner: Runner) -> Pushes:
        """What takes the results that vendors send by themselves."""
        named = {
            name: tool.push.secret
            for name, tool in gateway.house.tools.items()
            if tool.push is not None and tool.push.secret is not None
        }
        found = self._secrets.signing(set(named.values()))
        secrets = {name: found[secret] for name, secret in named.items()}
        late = LateLedger(kept.trail)
        return Pushes(gateway, kept.state, runner, late, secrets=secrets, clock=self._clock)

    async def _fill(
        self,
        app: FastAPI,
        services: Services,
        kept: _Kept,
        sources: dict[str, Source],
        closing: AsyncExitStack,
    ) -> None:
        """What the routes find on ``app.state``."""
        names = Names(actor_system=self._rules.issuer) if self._rules else Names()
        public_url = self._settings.public_url
        clients = load_clients(
            self._policies,
            roles=self._house.policies.roles,
            state=kept.state,
            clock=self._clock,
            wire=self._wire,
        )
        closing.push_async_callback(clients.close)
        reactions = services.adjudication.reactions
        feedback = Feedback(kept.state, kept.ledger, self._clock, reactions)
        app.state.services = services
        app.state.store = kept.state
        app.state.console = console_of(self._settings, kept.keys, kept.trail, self._clock)
        app.state.fhir = FhirBase(public_url, kept.keys.patient_key, self._clock, names)
        app.state.cds = CdsService(clients, sources, feedback, public_url)

    def _watch(
        self,
        gateway: Gateway,
        adjudication: Adjudication,
        trail: AuditTrail,
        closing: AsyncExitStack,
    ) -> None:
        """The loops that run beside the requests."""
        watching = [asyncio.create_task(gateway.metrics.watch_loop()), adjudication.start()]
        if self._given.hold_s is None:
            watching.append(asyncio.create_task(keep_looking(trail, gateway.guards)))
        for task in watching:
            closing.callback(task.cancel)


async def _close_connections(gateway: Gateway) -> None:
    for transport in gateway.house.transports.values():
        await transport.close()


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


def log_ready(settings: Settings, house: House) -> None:
    """Say what could not be loaded, and that the gateway serves."""
    for name, adapter in house.adapters.items():
        if not adapter.loads:
            log.error("adapter not loaded", adapter=name)
    log.info(
        "gateway ready",
        replica=settings.replica,
        tools=len(house.tools),
        policy_revision=house.policies.revision,
    )
