"""``python -m careweir``."""

from careweir.cli import main

main()
