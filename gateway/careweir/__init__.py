"""careweir: one gate between a health system and all of its AI tools."""

__version__ = "0.1.0"
