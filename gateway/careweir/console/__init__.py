"""The page an auditor opens: ``/console/audit``. Drawn here, without scripts and without a CDN."""

from careweir.console.ports import Console
from careweir.console.routes import router
from careweir.console.verifying import verify_apart

__all__ = ["Console", "router", "verify_apart"]
