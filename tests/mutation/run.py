"""``make mutants``: a seeded sample of faults in what decides and minimises, and who notices.

Each fault is made in memory, in a process of its own, and the tests that run the faulty function
are run, the quickest first, until one fails. A fault that no test notices survives, and so does one
that none notices within ``--budget`` seconds of CPU. A test that hangs counts as noticing. What
``equivalent.py`` names, with its reason, is not counted. Exit 1 below ``--least``.

    python -m mutation.run --count 300 --seed 1 --least 85
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mutation.equivalent import why_equivalent
from mutation.mutant import ROOT, Mutant
from mutation.operators import sites
from mutation.trial import Trial, survivors_of
from mutation.watching import Seen, seen_by_tests

QUICK_S = 3.0  # most faults are noticed by then: the others are tried once more with all the time
PACKAGES = ("careweir.access", "careweir.minimise")


def main(arguments: Sequence[str]) -> int:
    """Sample, run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--budget", type=float, default=20.0)
    parser.add_argument("--least", type=float, default=85.0)
    parser.add_argument("--only", default="", help="modules whose name contains this")
    parser.add_argument("--seen", type=Path, help="where to keep which test runs which function")
    parser.add_argument("--report", type=Path)
    wanted = parser.parse_args(arguments)

    everything = [
        one for package in PACKAGES for one in mutants(package) if wanted.only in one.module
    ]
    chosen = random.Random(wanted.seed).sample(everything, min(wanted.count, len(everything)))
    seen = _seen(wanted.seen)
    trials = [Trial(mutant, *seen.tests_of(mutant)) for mutant in chosen]
    quick = _survivors(trials, wanted.jobs, min(QUICK_S, wanted.budget))
    left = _survivors(quick, wanted.jobs, wanted.budget)
    same = [one.mutant for one in left if why_equivalent(one.mutant)]
    survivors = [one.mutant for one in left if not why_equivalent(one.mutant)]
    for mutant in sorted(survivors):
        print(f"survived {mutant.words()}: {mutant.source()}")
    for mutant in sorted(same):
        print(f"equivalent {mutant.words()}: {why_equivalent(mutant)}")
    counted = len(chosen) - len(same)
    score = 100 * (counted - len(survivors)) / counted
    print(
        f"{counted - len(survivors)} of {counted} noticed: {score:.1f} % "
        f"(of {len(chosen)}, {len(same)} of them equivalent, drawn from {len(everything)})"
    )
    if wanted.report is not None:
        report = {
            "mutants": len(chosen),
            "of": len(everything),
            "seed": wanted.seed,
            "score": round(score, 1),
            "by module": dict(sorted(Counter(one.module for one in chosen).items())),
            "equivalent": [one.words() for one in sorted(same)],
            "survivors": [f"{one.words()}: {one.source()}" for one in sorted(survivors)],
        }
        wanted.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if score >= wanted.least else 1


def _survivors(trials: Sequence[Trial], jobs: int, budget_s: float) -> list[Trial]:
    """Those of which nobody noticed anything in so many seconds each."""
    left = []
    for number, (trial, survived) in enumerate(survivors_of(trials, jobs, budget_s), 1):
        left += [trial] if survived else []
        if number % 25 == 0:
            print(f"{number} of {len(trials)}, {len(left)} left", file=sys.stderr, flush=True)
    return left


def mutants(package: str) -> Iterator[Mutant]:
    """Every fault of a package, in a fixed order."""
    folder = ROOT / "gateway" / Path(*package.split("."))
    for file in sorted(folder.glob("*.py")):
        name = package if file.stem == "__init__" else f"{package}.{file.stem}"
        for site in sites(ast.parse(file.read_text(encoding="utf-8"))):
            yield Mutant(name, file, site)


def _seen(kept: Path | None) -> Seen:
    if kept is not None and kept.is_file():
        return Seen.from_json(kept.read_bytes())
    seen = seen_by_tests()
    if kept is not None:
        kept.write_bytes(seen.as_json())
    return seen


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
