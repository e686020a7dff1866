"""figure_08.py - `--sync always`, one client: each write is on the disk before the next one begins.

Two comparisons, each with its like. The server against Redis with `appendfsync always`, one client
and its round trips over a socket. The engine alone (engine-run) against RocksDB and LMDB as
libraries. Both are set beside probe_flush, the fdatasync of a small append to a pre-allocated file:
what no store with this promise can pass by much.
"""

import pathlib
import shutil
import tempfile
import time

import measure
from figure import FigureRow, say
from measure import HarnessError, harness

LIBRARIES = ("kvs", "rocksdb-library", "lmdb", "probe")


def engine_run(binary, store, mode, count):
    """The numbers that one engine-run prints, on a fresh directory."""
    with tempfile.TemporaryDirectory(prefix="kvs-bench-") as directory:
        done = harness.run(binary.parent / "engine-run", store, mode, count, directory,
                           seconds=measure.RUN_SECONDS_MAX)
    try:
        return [float(word) for word in done.stdout.split()]
    except ValueError:
        raise HarnessError(f"cannot read what engine-run printed: {done.stdout!r}") from None


def server_rate(server, count, keys, binary):
    """Acknowledged SETs per second of one client."""
    begin = time.monotonic()
    measure.run_round_trips(server, measure.Scenario("set", 0, count), keys, binary.parent / "round-trip")
    return count / (time.monotonic() - begin)


def run(arguments):
    binary = arguments.binary.absolute()
    if not (binary.parent / "engine-run").exists():
        raise HarnessError(f"{binary.parent / 'engine-run'} is missing; build it first")
    count = 300 if arguments.short else 4000
    keys = 10_000
    tempfile.tempdir = str(arguments.dir)
    rates = {name: [] for name in ("server", "redis", *LIBRARIES)}
    with measure.MeasuredServer("--sync", "always", *arguments.kvs_option, path=binary, name="kvs") as kvs, \
            measure.MeasuredServer(path=pathlib.Path(shutil.which(arguments.redis)), name="redis",
                                   redis_options=["--appendfsync", "always"]) as redis:
        for _ in range(arguments.pairs):
            rates["server"].append(server_rate(kvs, count, keys, binary))
            rates["redis"].append(server_rate(redis, count, keys, binary))
            for name in LIBRARIES:
                rates[name] += engine_run(binary, name, "always", count)
        say("figure 8: one client under `always` measured")
    return [
        FigureRow("8", "always, 1 client, server, SET/s", "Redis", rates["server"], rates["redis"],
                  at_least=1.3),
        FigureRow("8", "always, 1 client, server, SET/s", "1:probe_flush", rates["server"],
                  rates["probe"], at_least=0.85),
        FigureRow("8", "always, engine alone, set/s", "RocksDB sync", rates["kvs"],
                  rates["rocksdb-library"], at_least=1.3),
        FigureRow("8", "always, engine alone, set/s", "LMDB", rates["kvs"], rates["lmdb"], at_least=2),
        FigureRow("8", "always, engine alone, set/s", "1:probe_flush", rates["kvs"], rates["probe"]),
    ]
