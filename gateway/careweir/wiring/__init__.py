"""How a gateway is put together: what is opened, with which secrets, in which order.

``house`` reads policies and tools, ``secret_files`` finds what they name, ``records`` opens what
keeps, ``serving`` connects all of it. ``careweir.app`` puts the web application around them.
"""

from __future__ import annotations

from careweir.wiring.house import load_house, watched
from careweir.wiring.overrides import Clock, Overrides, utc_now
from careweir.wiring.secret_files import SecretFiles
from careweir.wiring.serving import Serving, log_ready
from careweir.wiring.tokens import token_rules

__all__ = [
    "Clock",
    "Overrides",
    "SecretFiles",
    "Serving",
    "load_house",
    "log_ready",
    "token_rules",
    "utc_now",
    "watched",
]
