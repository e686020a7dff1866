"""figure_09.py - `--sync always` with many clients: one sync is to release the writes of many.

redis-benchmark with 50 and 500 clients against both servers in turn, each acknowledging a SET only
when it is on the disk.
"""

import pathlib
import shutil
import tempfile

import measure
from figure import FigureRow, say

TARGETS = {50: 2.0, 500: 1.8}


def run(arguments):
    count = 2_000 if arguments.short else 60_000
    keys = 10_000
    tempfile.tempdir = str(arguments.dir)
    rates = {clients: {"kvs": [], "redis": []} for clients in TARGETS}
    with measure.MeasuredServer("--sync", "always", *arguments.kvs_option,
                                path=arguments.binary.absolute(), name="kvs") as kvs, \
            measure.MeasuredServer(path=pathlib.Path(shutil.which(arguments.redis)), name="redis",
                                   redis_options=["--appendfsync", "always"]) as redis:
        for clients in TARGETS:
            for _ in range(arguments.pairs):
                for name, server in (("kvs", kvs), ("redis", redis)):
                    sample = measure.run_benchmark(server, measure.Scenario("set", 1, count), keys, clients)
                    rates[clients][name].append(sample["rps"])
            say(f"figure 9: {clients} clients under `always` measured")
    return [FigureRow("9", f"always, {clients} clients, SET/s", "Redis", rates[clients]["kvs"],
                      rates[clients]["redis"], at_least=target)
            for clients, target in TARGETS.items()]
