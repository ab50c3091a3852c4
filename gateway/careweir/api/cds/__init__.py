"""Every capability that names a hook, as a CDS Hooks 2.0 service.

Source: CDS Hooks 2.0.1; what differs in the 3.0 ballot is tolerated where it is read (SMART v2
scopes) and not yet written.
"""

from careweir.api.cds.clients import load_clients
from careweir.api.cds.cors import CdsCors
from careweir.api.cds.feedback import Feedback
from careweir.api.cds.routes import CdsService, router

__all__ = ["CdsCors", "CdsService", "Feedback", "load_clients", "router"]
