"""figure_10.py - GETs beside clients whose every write waits for the disk (performance.md 10).

Ten clients write under `always` as fast as they get answers; meanwhile open-loop asks for keys at a
constant rate, and what a GET waits counts from the moment it was due. A server that syncs on the
thread that also answers lets every GET wait for the disk.
"""

import pathlib
import shutil
import subprocess
import tempfile

import measure
from figure import FigureRow, say
from figure_11 import load
from measure import HarnessError

WRITERS = 10
RATE = 2000  # GETs a second


class Writers:
    """redis-benchmark with WRITERS clients, until the block ends."""

    def __init__(self, server, keys):
        self.command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "-t", "set", "-c",
                        str(WRITERS), "-n", "1000000000", "-d", str(measure.VALUE_BYTES), "-r", str(keys), "-q"]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __exit__(self, *_):
        ended = self.process.poll() is not None
        self.process.kill()
        self.process.wait()
        if ended:
            raise HarnessError("the writers ended by themselves")


def run(arguments):
    program = arguments.binary.absolute().parent / "open-loop"
    if not program.exists():
        raise HarnessError(f"{program} is missing; build it first")
    seconds = 2 if arguments.short else 10
    keys = 20_000
    tempfile.tempdir = str(arguments.dir)
    ours, theirs = [], []
    with measure.MeasuredServer("--sync", "always", *arguments.kvs_option,
                                path=arguments.binary.absolute(), name="kvs") as kvs, \
            measure.MeasuredServer(path=pathlib.Path(shutil.which(arguments.redis)), name="redis",
                                   redis_options=["--appendfsync", "always"]) as redis:
        for server in (kvs, redis):
            measure.preload(server, keys)
            server.wait_until_idle()
        for _ in range(arguments.pairs):
            for server, p99s in ((kvs, ours), (redis, theirs)):
                with Writers(server, keys):
                    p99s.append(load(server, program, RATE, seconds, keys, set_percent=0)["p99"])
        say("figure 10: GETs beside writers under `always` measured")
    return [FigureRow("10", f"GET p99 beside {WRITERS} clients that write under always, us, {RATE}/s", "Redis",
                      ours, theirs, at_most=0.25)]
