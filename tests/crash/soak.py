#!/usr/bin/env python3
"""soak - a server under a mixed load for a long time: nothing is lost, and nothing grows (figure 15).

    tests/crash/soak.py                     20 seconds, as the test crash.soak
    tests/crash/soak.py --minutes 160       the figure: slopes of memory, descriptors and disk
    tests/crash/soak.py --engine rocksdb

Clients set, overwrite, remove and expire keys of their own, in pipelines and transactions, check every
value they read, and come and go. Segments and cache are small, so that compaction, expiry and reads from disk
happen all the time, and the amount of live data stays the same. What is watched must then stay the same as well:
over a long run no slope may be above 1 % an hour beyond what its noise explains; a short one can only see that
memory and disk keep within their bounds, and that every descriptor is given back.

Not here: crashes (kill_test.cc, power_test.cc), and how fast anything is: the rate is held low by --rate.
"""

import argparse
import os
import pathlib
import random
import statistics
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))

import harness  # noqa: E402
from harness import HarnessError, ReplyError, pack  # noqa: E402

CLIENTS = 4
KEYS = 3000           # of each client
PIPELINE = 16
PIPELINES_PER_CONNECTION = 200
VALUE_BYTES_MAX = 3000
SEGMENT = "2mb"
CACHE = "4mb"
# A deadline is in whole milliseconds of the server's clock, which may be a moment old when a write counts from
# it; and a busy machine may take its time to execute the write.
EXPIRY_EARLY_SECONDS = 0.1
EXPIRY_LATE_SECONDS = 10
LONG_MINUTES = 5           # from here on slopes say something
SLOPE_MAX = 1.0       # percent an hour


class Client:
    """One user of the server, who knows what each of its keys must be. Thread: its own."""

    def __init__(self, server, number, rate):
        self.server = server
        self.number = number
        self.seconds_per_pipeline = PIPELINE / rate
        self.random = random.Random(number)
        self.keys = {}  # key -> (value, when it expires at the latest or None)
        self.operations = 0
        self.failure = None

    def value(self):
        # Long runs of one letter would fit anywhere; a number in front tells values apart.
        size = self.random.randrange(VALUE_BYTES_MAX)
        return b"%d:" % self.random.getrandbits(60) + b"v" * size

    def run(self, stop):
        try:
            while not stop.is_set():
                with self.server.connect() as connection:
                    for _ in range(PIPELINES_PER_CONNECTION):
                        begun = time.monotonic()
                        self.pipeline(connection)
                        pause = self.seconds_per_pipeline - (time.monotonic() - begun)
                        if stop.wait(max(0.0, pause)):
                            break
        except (OSError, EOFError, ReplyError, HarnessError) as problem:
            self.failure = f"client {self.number}: {problem!r}"

    def pipeline(self, connection):
        requests, checks = [], []
        in_transaction = self.random.random() < 0.1
        if in_transaction:
            requests.append(pack(b"MULTI"))
        for _ in range(PIPELINE):
            request, check = self.operation()
            requests.append(request)
            checks.append(check)
        if in_transaction:
            requests.append(pack(b"EXEC"))
        connection.socket.sendall(b"".join(requests))
        if in_transaction:
            for _ in range(PIPELINE + 1):
                connection.reply()
            replies = connection.reply()
        else:
            replies = [connection.reply() for _ in checks]
        for reply, check in zip(replies, checks, strict=True):
            check(reply)
        self.operations += PIPELINE

    def operation(self):
        """(request, what checks its reply). The model runs ahead: a pipeline is executed in order."""
        key = b"soak:%d:%d" % (self.number, self.random.randrange(KEYS))
        kind = self.random.randrange(10)
        if kind < 3:
            value = self.value()
            self.keys[key] = (value, None)
            return pack(b"SET", key, value), self.expect(key, lambda reply: reply == b"OK")
        if kind < 5:
            value, lives_ms = self.value(), self.random.randrange(100, 5000)
            self.keys[key] = (value, time.monotonic() + lives_ms / 1000)
            return (pack(b"SET", key, value, b"PX", lives_ms),
                    self.expect(key, lambda reply: reply == b"OK"))
        known = self.keys.get(key)
        if kind < 6:
            self.keys.pop(key, None)
            request, absent = pack(b"DEL", key), 0
        else:
            request, absent = pack(b"GET", key), None
        present = known and (1 if kind < 6 else known[0])

        def fits(reply):
            if known is None:
                return reply == absent
            if known[1] is None:
                return reply == present
            late = time.monotonic() - known[1]
            return ((reply == present and late < EXPIRY_LATE_SECONDS) or
                    (reply == absent and late > -EXPIRY_EARLY_SECONDS))
        return request, self.expect(key, fits)

    def expect(self, key, fits):
        known = self.keys.get(key)

        def check(reply):
            if not fits(reply):
                expected = "nothing" if known is None else f"{known[0]!r:.40}"
                if known and known[1]:
                    expected += f", for another {known[1] - time.monotonic():.3f} s"
                raise HarnessError(f"{key!r} has {reply!r:.40} instead of {expected}")
        return check

    def verify(self, connection):
        """Every key once more, when nobody writes: what has expired is gone."""
        time.sleep(max([0.0] + [until - time.monotonic() for _, until in self.keys.values() if until]) + 0.5)
        names = list(self.keys)
        for name, reply in zip(names, connection.pipelined((b"GET", name) for name in names), strict=True):
            value, until = self.keys[name]
            if reply != (None if until else value):
                raise HarnessError(f"{name!r} has {reply!r:.80} at the end")


class Watch:
    """What is looked at once a second."""

    def __init__(self, server):
        self.server = server
        self.process = pathlib.Path(f"/proc/{server.process.pid}")
        self.samples = []  # (seconds, {name: number})

    def descriptors(self):
        """All but sockets of clients and segment files, whose numbers go up and down."""
        others = 0
        for entry in os.scandir(self.process / "fd"):
            try:
                kind = os.readlink(entry.path)
            except FileNotFoundError:  # closed since the folder was read
                continue
            others += not kind.startswith(("socket:", str(self.server.directory)))
        return others

    def look(self, at):
        status = (self.process / "status").read_text()
        memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
        self.samples.append((at, {"memory": memory * 1024, "descriptors": self.descriptors(),
                                  "disk": self.server.allocated_bytes()}))

    def of(self, name):
        return [(at, numbers[name]) for at, numbers in self.samples]


def slope_percent_an_hour(samples):
    """(slope, its standard error), both in percent of the mean per hour, from the means of ten stretches: samples
    beside each other are not independent, stretches nearly are."""
    stretch = max(1, len(samples) // 10)
    means = []
    for begin in range(0, stretch * 10, stretch):
        part = samples[begin:begin + stretch]
        means.append((statistics.fmean(at for at, _ in part), statistics.fmean(y for _, y in part)))
    middle_x = statistics.fmean(x for x, _ in means)
    middle_y = statistics.fmean(y for _, y in means)
    spread = sum((x - middle_x) ** 2 for x, _ in means)
    slope = sum((x - middle_x) * (y - middle_y) for x, y in means) / spread
    rest = sum((y - middle_y - slope * (x - middle_x)) ** 2 for x, y in means)
    error = (rest / (len(means) - 2) / spread) ** 0.5
    scale = 3600 * 100 / middle_y
    return slope * scale, error * scale


def check_bounds(server, watch):
    """What holds of a run of any length."""
    late = watch.samples[len(watch.samples) // 3:]
    problems = []
    memory = [numbers["memory"] for _, numbers in late]
    # The live data is there after the first third, so memory may move by noise alone: a tenth and 8 MiB.
    if max(memory) > min(memory) * 1.1 + (8 << 20):
        problems.append(f"memory went from {min(memory) >> 20} to {max(memory) >> 20} MiB")
    if watch.descriptors() > late[0][1]["descriptors"]:
        problems.append(f"{watch.descriptors()} descriptors, where there were {late[0][1]['descriptors']}")
    info = server.connect().info()
    if int(info["expired_keys"]) == 0:
        problems.append("nothing has ever expired")
    if info["kvs_engine"] == "kvs":  # RocksDB's own bound is another one
        # Hints and the files that are always there come on top of the bound.
        allowed = int(info["kvs_space_allowed_bytes"]) + int(info["kvs_hint_bytes"]) + (8 << 20)
        disk = max(numbers["disk"] for _, numbers in late)
        if disk > allowed:
            problems.append(f"{disk >> 20} MiB on disk, where {allowed >> 20} are allowed")
        if int(info["kvs_compactions"]) == 0:
            problems.append("nothing was ever compacted")
    return problems


def check_slopes(watch):
    problems = []
    for name in ("memory", "descriptors", "disk"):
        samples = watch.of(name)
        samples = samples[len(samples) // 5:]  # until then it fills
        slope, error = slope_percent_an_hour(samples)
        numbers = [y for _, y in samples]
        unit = 1 if name == "descriptors" else 1 << 20
        print(f"soak: {name}: {min(numbers) / unit:.1f} .. {max(numbers) / unit:.1f}"
              f"{'' if unit == 1 else ' MiB'}, slope {slope:+.2f} +- {error:.2f} %/h")
        if slope - 2 * error > SLOPE_MAX:
            problems.append(f"{name} grows by {slope:.2f} %/h")
    return problems


def soak(arguments):
    seconds = arguments.minutes * 60 if arguments.minutes else arguments.seconds
    options = ["--segment-size", SEGMENT, "--cache-size", CACHE]
    if arguments.engine:
        options += ["--engine", arguments.engine]
    with harness.Server(*options) as server:
        watch = Watch(server)
        clients = [Client(server, n, arguments.rate / CLIENTS) for n in range(CLIENTS)]
        stop = threading.Event()
        threads = [threading.Thread(target=client.run, args=(stop,)) for client in clients]
        for thread in threads:
            thread.start()
        begun = time.monotonic()
        while (at := time.monotonic() - begun) < seconds and not any(client.failure for client in clients):
            watch.look(at)
            time.sleep(min(1.0, seconds / 20))
        stop.set()
        for thread in threads:
            thread.join(timeout=harness.patience(60))
        problems = [client.failure for client in clients if client.failure]
        if not problems:
            with server.connect() as connection:
                for client in clients:
                    client.verify(connection)
            problems += check_bounds(server, watch)
            if seconds >= LONG_MINUTES * 60:
                problems += check_slopes(watch)
        operations = sum(client.operations for client in clients)
        info = server.connect().info()
        keys = sum(len(client.keys) for client in clients)
        print(f"soak: {operations} operations in {time.monotonic() - begun:.0f} s, {keys} keys, "
              f"{info.get('kvs_compactions', '-')} compactions, {info['expired_keys']} keys expired, "
              f"memory {int(info['used_memory_rss']) >> 20} MiB, {watch.descriptors()} descriptors, "
              f"disk {server.allocated_bytes() >> 20} MiB, {len(problems)} problems")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0],
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--minutes", type=float, help="instead; from 5 on slopes are judged")
    parser.add_argument("--rate", type=float, default=4000, help="operations a second of all clients")
    parser.add_argument("--engine", help="the one of KVS_TEST_ENGINE, else kvs, without this")
    arguments = parser.parse_args()
    harness.watchdog(arguments.minutes * 60 + 600 if arguments.minutes else arguments.seconds + 100)
    try:
        problems = soak(arguments)
    except HarnessError as problem:
        problems = [str(problem)]
    for problem in problems:
        print(f"soak: FAILED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
