"""figure_11.py - latency while the log is compacted (performance.md 11).

open-loop sends half GET, half SET at a constant rate, and what a request waits counts from the moment
it was due. kvs is measured idle (no compaction) and while it compacts on request, again and again;
Redis while BGREWRITEAOF runs. The rate is the same for all, far below what either can do: a stall is to
be seen, not a queue. How fast kvs compacted meanwhile is said on stderr, and in the table when it was
below 50 MB/s.
"""

import shutil
import statistics
import threading
import time

import measure
from figure import FigureRow, say
from measure import HarnessError

VALUE_BYTES = 1000
CONNECTIONS = 20
COMPACTION_BYTES_PER_SECOND = 50_000_000
LIMIT_BYTES_PER_SECOND = 60_000_000  # what Redis' rewrite does is not limited, nor can it be


def load(server, program, rate, seconds, keys, set_percent=50):
    text = measure.run_generator(
        [program, server.port, rate, seconds, CONNECTIONS, keys, VALUE_BYTES, set_percent], server)
    try:
        p50, p99, p999, most = (float(word) for word in text.split())
    except ValueError:
        raise HarnessError(f"cannot read what open-loop printed: {text!r}") from None
    return {"p50": p50, "p99": p99, "p999": p999, "max": most}


class Rewriting:
    """Asks for one rewrite after the other, until the block ends."""

    def __init__(self, server):
        self.server = server
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        with self.server.connect() as connection:
            while not self.ended.is_set():
                if connection.info("persistence").get("aof_rewrite_in_progress") != "1":
                    connection("BGREWRITEAOF")
                time.sleep(0.02)

    def __enter__(self):
        self.begin = time.monotonic()
        self.thread.start()
        time.sleep(0.3)
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join(timeout=10)
        self.seconds = time.monotonic() - self.begin


def copied_bytes(server):
    with server.connect() as connection:
        return int(connection.info("persistence")["kvs_compacted_bytes"])


def fill(server, keys):
    """Every key with a value of VALUE_BYTES."""
    with server.connect(timeout=120) as connection:
        value = b"f" * VALUE_BYTES
        for begin in range(0, keys, 5000):
            last = min(begin + 5000, keys)
            replies = connection.pipelined((b"SET", measure.key_of(n), value) for n in range(begin, last))
            if any(reply != b"OK" for reply in replies):
                raise HarnessError(f"{server.name}: a SET of the preload failed")


def run(arguments):
    program = arguments.binary.absolute().parent / "open-loop"
    if not program.exists():
        raise HarnessError(f"{program} is missing; build it first")
    keys = 20_000 if arguments.short else min(arguments.keys, 500_000)
    seconds = 2 if arguments.short else 10
    rate = 4000
    idle, busy, theirs = [], [], []
    copied, took = 0, 0.0
    ours = measure.MeasuredServer(path=arguments.binary.absolute(), name="kvs")
    redis = measure.MeasuredServer(path=shutil.which(arguments.redis), name="redis")
    with ours as kvs, redis:
        for server in (kvs, redis):
            fill(server, keys)
            server.wait_until_idle()
        with kvs.connect() as connection:
            connection("KVS", "COMPACT", "LIMIT", LIMIT_BYTES_PER_SECOND)
        for _ in range(arguments.pairs):
            with kvs.connect() as connection:
                connection("KVS", "COMPACT", "PAUSE")
                idle.append(load(kvs, program, rate, seconds, keys))
                connection("KVS", "COMPACT", "RESUME")
            before = copied_bytes(kvs)
            with Rewriting(kvs) as rewriting:
                busy.append(load(kvs, program, rate, seconds, keys))
            copied += copied_bytes(kvs) - before
            took += rewriting.seconds
            with Rewriting(redis):
                theirs.append(load(redis, program, rate, seconds, keys))
    speed = copied / took
    say(f"kvs compacted {speed / 1e6:.0f} MB/s meanwhile")
    slow = "" if speed >= COMPACTION_BYTES_PER_SECOND else f" (compaction at {speed / 1e6:.0f} MB/s only)"
    rows = []
    for field, name in (("p99", "p99"), ("p999", "p99.9")):
        text = f"{name} during compaction, us, {rate}/s{slow}"
        rows += [
            FigureRow("11", text, "Redis", [run[field] for run in busy], [run[field] for run in theirs],
                      at_most=0.5),
            FigureRow("11", text, "own idle", [run[field] for run in busy], [run[field] for run in idle],
                      at_most=1.5),
        ]
    say(f"medians of p50: {statistics.median(run['p50'] for run in idle):.0f} us idle, "
        f"{statistics.median(run['p50'] for run in busy):.0f} us during compaction")
    return rows
