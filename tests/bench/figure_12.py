"""figure_12.py - write amplification while the data set is overwritten four times (performance.md 12).

write-amplification does it, on kvs and on RocksDB as libraries. Three lines per distribution: what kvs
writes against the target, the disk it takes against the bound, and what it writes against RocksDB.
"""

import pathlib
import shutil
import tempfile

from figure import FigureRow, say
from measure import HarnessError, harness

VALUE_SECONDS_MAX = 1800
# Distribution, bound on space in percent of the live data, target of write amplification.
CASES = [("uniform", 142, 2.1), ("zipf", 128, 1.6)]


def measure_once(program, engine, distribution, keys, space_percent):
    """[write amplification, space at most, space at the end]"""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="kvs-figure-12-"))
    try:
        done = harness.run(program, engine, directory / "data", distribution, keys, space_percent,
                           seconds=VALUE_SECONDS_MAX)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    try:
        write, space_max, space_end = (float(word) for word in done.stdout.split())
    except ValueError:
        raise HarnessError(f"cannot read what write-amplification printed: {done.stdout!r}") from None
    return write, space_max, space_end


def run(arguments):
    program = arguments.binary.absolute().parent / "write-amplification"
    if not program.exists():
        raise HarnessError(f"{program} is missing; build it first")
    # The amplification does not change from pair to pair: it is counted, not timed.
    keys = 4000 if arguments.short else min(arguments.keys, 1_000_000)
    rows = []
    for distribution, percent, target in CASES:
        ours = measure_once(program, "kvs", distribution, keys, percent)
        theirs = measure_once(program, "rocksdb", distribution, keys, percent)
        say(f"{distribution}: kvs {ours}, RocksDB {theirs}")
        text = f"write amplification, {keys} values of 1000 B, {distribution}"
        rows += [
            FigureRow("12", f"{text}, space <= {percent} %", "limit", [ours[0]], [target], at_most=1),
            FigureRow("12", f"disk per live byte at most, {distribution}", "limit", [ours[1]],
                      [percent / 100], at_most=1),
            FigureRow("12", text, "RocksDB", [ours[0]], [theirs[0]], at_most=0.3),
        ]
    return rows
