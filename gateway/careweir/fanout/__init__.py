"""Ask every tool at once, under one deadline, with each attempt on the record before it leaves."""

from careweir.fanout.ask_all import Asked, ask_all
from careweir.fanout.attempt import (
    AttemptLedger,
    Errand,
    Intent,
    Linger,
    Prepared,
    classed,
    raise_unless_usable,
    read_answer,
)
from careweir.fanout.containment import Watchdog, contained
from careweir.fanout.credentials import ClientCredentials, vendor_pool
from careweir.fanout.guard import Guard, Guards
from careweir.fanout.transport import SYSTEM_WIRE, Transport, VendorPool
from careweir.fanout.wire import Wire, read_networks, tls_of

__all__ = [
    "SYSTEM_WIRE",
    "Asked",
    "AttemptLedger",
    "ClientCredentials",
    "Errand",
    "Guard",
    "Guards",
    "Intent",
    "Linger",
    "Prepared",
    "Transport",
    "VendorPool",
    "Watchdog",
    "Wire",
    "ask_all",
    "classed",
    "contained",
    "raise_unless_usable",
    "read_answer",
    "read_networks",
    "tls_of",
    "vendor_pool",
]
