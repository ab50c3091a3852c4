"""The pages of people: ``/console/audit`` for auditors, ``/console/conflicts`` for who settles.

Drawn here, without scripts and without a CDN.
"""

from careweir.console.conflicts import router as conflicts_router
from careweir.console.ports import Console
from careweir.console.routes import router
from careweir.console.verifying import verify_apart

__all__ = ["Console", "conflicts_router", "router", "verify_apart"]
