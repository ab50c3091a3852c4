"""What ``careweir adapter new`` copies. It has no manifest, so it is not discovered."""
