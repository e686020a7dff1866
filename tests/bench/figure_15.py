"""figure_15.py - scaling with threads: kvs-server with 1, 2, 4 ... 2 x cores pool threads, each engine.

The server benchmark of contract.md 5: 1000 unique keys of equal length, written and read by a pool of
concurrent clients. More threads than cores must not cost anything; the baseline is the engine's own
run with one thread. kvs-server has libuv's pool alone and sends it batches; what each kind of pool costs shows
pool-server (pool_server.cc), one job for each command, beside it.
"""

import os
import statistics

import measure
import plots
from figure import FigureRow, say
from measure import HarnessError

KEYS = 1000
ENGINES = ("kvs", "rocksdb")
POOLS = ("shared_queue", "libuv", "thread_per_job")

_rates = {}  # (engine, operation) -> {threads: [rate, ...]}
_pool_rates = {}  # the same of pool-server: (pool, engine, operation) -> {threads: [rate, ...]}


class PoolServer(measure.MeasuredServer):
    """pool-server on one engine and one pool."""

    def __init__(self, binary, engine, pool, threads):
        super().__init__(path=binary.parent / "pool-server", name=f"{pool}, {engine}, {threads} threads")
        self.words = [engine, pool, threads]

    def command(self):
        # It keeps its data in the current directory.
        return ["/usr/bin/env", f"--chdir={self.directory}", self.path, self.port, *self.words]


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


def kvs_server(binary, engine, threads):
    return measure.MeasuredServer("--engine", engine, "--io-threads", str(threads), path=binary,
                                  name=f"{engine}, {threads} threads")


def one_run(started, requests):
    with started as server:
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
    _pool_rates.clear()
    for _ in range(arguments.pairs):
        for engine in ENGINES:
            for threads in counts:
                for operation, rate in one_run(kvs_server(binary, engine, threads), requests).items():
                    _rates.setdefault((engine, operation), {}).setdefault(threads, []).append(rate)
                for pool in POOLS:
                    # A thread per job has no number of threads.
                    if pool == "thread_per_job" and threads > 1:
                        continue
                    server = PoolServer(binary, engine, pool, threads)
                    for operation, rate in one_run(server, requests).items():
                        _pool_rates.setdefault((pool, engine, operation), {}).setdefault(threads, []).append(rate)
    say("figure 15: every number of threads measured")
    most = counts[-1]
    return [FigureRow("15", f"{engine}, {operation.upper()}/s with {most} pool threads", "1 thread",
                      _rates[engine, operation][most], _rates[engine, operation][1])
            for engine in ENGINES for operation in ("set", "get")]


def draw(folder):
    counts = thread_counts()

    def medians(rates):
        # One figure for all numbers of threads is a level line.
        return [statistics.median(rates.get(n, rates[1])) for n in counts]

    names = []
    for operation in ("get", "set"):
        series = {f"kvs-server, {engine}": medians(_rates[engine, operation]) for engine in ENGINES}
        series |= {f"{pool.replace('_', ' ')}, {engine}": medians(rates)
                   for (pool, engine, which), rates in _pool_rates.items() if which == operation}
        names.append(plots.lines(
            folder, f"figure_15_{operation}",
            f"{operation.upper()} against threads of the pool, 1000 keys, {measure.CLIENTS} clients",
            "threads of the pool", "requests/s", counts, series))
    return names
