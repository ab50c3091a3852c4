"""What the gateway must remember between requests. Never evidence: that is the audit trail."""

from careweir.state.opening import open_state
from careweir.state.record import Cursor, Put, Record
from careweir.state.seal import StateKeys
from careweir.state.state import State

__all__ = ["Cursor", "Put", "Record", "State", "StateKeys", "open_state"]
