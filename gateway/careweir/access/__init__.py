"""Who may have which tool asked about what: roles, purposes, grants, forbids, decisions."""

from careweir.access.actor import Actor
from careweir.access.policy import PolicySet
from careweir.access.rights import DataClass, Decision, Rights
from careweir.access.vocabulary import Vocabulary

__all__ = ["Actor", "DataClass", "Decision", "PolicySet", "Rights", "Vocabulary"]
