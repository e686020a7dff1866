"""figure.py - what a figure with a module of its own hands to `compare`.

Such a module (figure_08.py, say; one line in FIGURE_MODULES of compare) measures something that is not
"redis-benchmark against two servers". It has
    run(arguments) -> [FigureRow, ...]     arguments are those of compare; `short` asks for a few seconds
and may have
    draw(folder) -> [file name, ...]       after run(): writes SVG files (plots.py helps), for --write
It raises harness.HarnessError when the harness breaks; slow is not an error. Progress goes to stderr
through say().
"""

import dataclasses
import statistics
import sys
import time

_begin = time.monotonic()


@dataclasses.dataclass(frozen=True)
class FigureRow:
    """One line of the table: what kvs and one peer gave, in turn, and what the ratio should be."""
    figure: str
    text: str                # what is measured, with its unit: "engine alone, random set, 1/s"
    peer: str                # "Redis", "RocksDB", "LMDB", "limit" (ours against a number given)
    ours: list[float]        # one per pair
    theirs: list[float]      # one per pair
    at_most: float | None = None
    at_least: float | None = None

    def ratios(self):
        """kvs / peer of each pair, sorted."""
        return sorted(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    def ratio(self):
        return statistics.median(self.ratios())


def say(text):
    print(f"[{time.monotonic() - _begin:5.1f} s] {text}", file=sys.stderr, flush=True)
