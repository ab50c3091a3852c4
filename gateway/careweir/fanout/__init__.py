"""Ask every tool at once, under one deadline, with each attempt on the record before it leaves."""

from careweir.fanout.ask_all import Asked, ask_all
from careweir.fanout.attempt import AttemptLedger, Intent, Prepared
from careweir.fanout.containment import Watchdog, contained
from careweir.fanout.credentials import ClientCredentials, vendor_pool
from careweir.fanout.guard import Guard, Guards
from careweir.fanout.transport import Transport, VendorPool

__all__ = [
    "Asked",
    "AttemptLedger",
    "ClientCredentials",
    "Guard",
    "Guards",
    "Intent",
    "Prepared",
    "Transport",
    "VendorPool",
    "Watchdog",
    "ask_all",
    "contained",
    "vendor_pool",
]
