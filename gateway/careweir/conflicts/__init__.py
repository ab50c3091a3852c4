"""Conflicts between tools: findings that cannot all be right, and no winner named."""

from careweir.conflicts.engine import detect
from careweir.conflicts.evaluate import evaluate
from careweir.conflicts.reader import detect_lines
from careweir.conflicts.rulebook import RuleBook, load_rules

__all__ = ["RuleBook", "detect", "detect_lines", "evaluate", "load_rules"]
