"""figure_15.py - scaling with threads: kvs-server with 1, 2, 4 ... 2 x cores pool threads, each engine.

The server benchmark of contract.md 5: 1000 unique keys of equal length, written and read by a pool of
concurrent clients. More threads than cores must not cost anything; the baseline is the engine's own
run with one thread.
"""

import os
import statistics

import measure
import plots
from figure import FigureRow, say
from measure import HarnessError

KEYS = 1000
ENGINES = ("kvs", "rocksdb")

_rates = {}  # (engine, operation) -> {threads: [rate, ...]}


def thread_counts():
    cores = len(os.sched_getaffinity(0))
    counts = [1]
    while counts[-1] * 2 < 2 * cores:
        counts.append(counts[-1] * 2)
    return counts + [2 * cores]


def check(server):
    """Each of the keys is there, with the value of the load generator."""
    with server.connect() as connection:
        names = [measure.key_of(n) for n in range(KEYS)]
        values = list(connection.pipelined((b"GET", name) for name in names))
        if connection("DBSIZE") != KEYS or any(v is None or len(v) != measure.VALUE_BYTES for v in values):
            raise HarnessError(f"{server.name}: not every key is there")


def one_run(binary, engine, threads, requests):
    with measure.MeasuredServer("--engine", engine, "--io-threads", str(threads), path=binary,
                                name=f"{engine}, {threads} threads") as server:
        measure.preload(server, KEYS)
        rates = {}
        for operation in ("set", "get"):
            rates[operation] = measure.run_benchmark(
                server, measure.Scenario(operation, 1, requests), KEYS)["rps"]
        check(server)
    return rates


def run(arguments):
    binary = arguments.binary.absolute()
    requests = 5_000 if arguments.short else 100_000
    counts = thread_counts()
    _rates.clear()
    for _ in range(arguments.pairs):
        for engine in ENGINES:
            for threads in counts:
                for operation, rate in one_run(binary, engine, threads, requests).items():
                    _rates.setdefault((engine, operation), {}).setdefault(threads, []).append(rate)
    say("figure 15: every number of threads measured")
    most = counts[-1]
    return [FigureRow("15", f"{engine}, {operation.upper()}/s with {most} pool threads", "1 thread",
                      _rates[engine, operation][most], _rates[engine, operation][1])
            for engine in ENGINES for operation in ("set", "get")]


def draw(folder):
    counts = thread_counts()
    series = {f"{engine}, {operation.upper()}": [statistics.median(rates[n]) for n in counts]
              for (engine, operation), rates in _rates.items()}
    return [plots.lines(folder, "figure_15", "Throughput against pool threads, 1000 keys, 50 clients",
                        "--io-threads", "requests/s", counts, series)]
