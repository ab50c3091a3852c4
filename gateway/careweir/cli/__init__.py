"""The command line: data on stdout, talk on stderr, documented exit codes."""

from careweir.cli.root import main

__all__ = ["main"]
