"""figure_14.py - the engine alone, one thread, no sync, beside RocksDB and LMDB as libraries.

Two loads: 1 M random sets and gets (engine-run), and the cases of contract.md 5 (engine-bench, Google
Benchmark). The targets are judged by the first; the second is there for its sizes. The row
"engine rocksdb" says what our interface costs on top of the library.
"""

import json
import os
import statistics

import measure
import plots
from figure import FigureRow, say
from figure_08 import engine_run
from measure import HarnessError, harness

STORES = ("kvs", "rocksdb-library", "lmdb", "rocksdb")
NAMES = {"kvs": "kvs", "rocksdb-library": "RocksDB", "lmdb": "LMDB", "rocksdb": "engine rocksdb"}
TARGETS = {("set", "rocksdb-library"): 3, ("set", "lmdb"): 3, ("get", "rocksdb-library"): 3,
           ("get", "lmdb"): 0.7}
CASES = {
    "write_large": "100 writes of 1-100,000 bytes, 1/s",
    "read_large": "1000 reads of 1-100,000 bytes, 1/s",
    "set_small": "set of 2^12 small pairs, 1/s",
    "get_small/256": "random get of 2^8 keys, 1/s",
    "get_small/4096": "random get of 2^12 keys, 1/s",
    "get_small/65536": "random get of 2^16 keys, 1/s",
    "get_small/1048576": "random get of 2^20 keys, 1/s",
}

_rates = {}  # (case, store) -> one per pair; for the plots


def bench_cases(arguments):
    """case/store -> operations per second, of one run of engine-bench."""
    command = [arguments.binary.absolute().parent / "engine-bench", "--benchmark_format=json"]
    if arguments.short:
        command += ["--benchmark_filter=(large|set_small|/256|/4096)", "--benchmark_min_time=0.01"]
    else:
        command += ["--benchmark_min_time=0.2"]
    done = harness.run(*command, seconds=measure.RUN_SECONDS_MAX,
                       environment={**os.environ, "TMPDIR": str(arguments.dir)})
    rates = {}
    for entry in json.loads(done.stdout)["benchmarks"]:
        words = entry["name"].removesuffix("/real_time").split("/")  # case/store[/keys]
        case = "/".join([words[0], *words[2:]])
        rates[case, words[1]] = entry["items_per_second"]
    return rates


def run(arguments):
    binary = arguments.binary.absolute()
    for needed in ("engine-run", "engine-bench"):
        if not (binary.parent / needed).exists():
            raise HarnessError(f"{binary.parent / needed} is missing; build it first")
    count = 20_000 if arguments.short else 1_000_000
    _rates.clear()
    for _ in range(arguments.pairs):
        for store in STORES:
            rates = engine_run(binary, store, "set-get", count)
            for case, rate in zip(("set", "get"), rates, strict=True):
                _rates.setdefault((case, store), []).append(rate)
        say("figure 14: random set and get, one round of all stores")
        for (case, store), rate in bench_cases(arguments).items():
            _rates.setdefault((case, store), []).append(rate)
    rows = []
    for case, text in {"set": f"{count} random sets, 1/s", "get": f"{count} random gets, 1/s", **CASES}.items():
        for peer in STORES[1:]:
            if (case, peer) in _rates:
                rows.append(FigureRow("14", f"engine alone, {text}", NAMES[peer], _rates[case, "kvs"],
                                      _rates[case, peer], at_least=TARGETS.get((case, peer))))
    return rows


def _medians(case_names):
    return {NAMES[store]: [statistics.median(_rates[case, store]) for case in case_names]
            for store in STORES}


def draw(folder):
    sizes = [case for case in CASES if case.startswith("get_small/") and (case, "kvs") in _rates]
    made = [plots.bars(folder, "figure_14", "Engine alone, one thread, no sync", "operations/s",
                       ["1 M set", "1 M get", "set of 2^12"], _medians(["set", "get", "set_small"]))]
    made.append(plots.lines(folder, "figure_14_get", "Random get by the size of the store", "keys",
                            "gets/s", [int(case.split("/")[1]) for case in sizes], _medians(sizes)))
    return made
