"""measure.py - how one number comes about: servers with their CPU time, load, and what must hold after it.

`compare` decides what is measured and in which order; here is how. Servers come from
tests/clients/harness.py (free port, private directory, ended by process object).
"""

import csv
import dataclasses
import io
import os
import pathlib
import random
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))

import harness  # noqa: E402
from harness import HarnessError, pack  # noqa: E402

VALUE_BYTES = 100
CLIENTS = 50
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
RUN_SECONDS_MAX = 300  # one run of a load generator; far above what the slowest server needs


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One kind of load: redis-benchmark with a pipeline, or (pipeline 0) single round trips."""
    operation: str  # "get" or "set"
    pipeline: int
    requests: int


@dataclasses.dataclass(frozen=True)
class Sample:
    """What one run on one server gave; None where its load generator does not tell."""
    cpu_us: float           # server CPU time per operation
    rps: float | None = None
    p50_us: float | None = None
    p99_us: float | None = None
    p999_us: float | None = None


class MeasuredServer(harness.Server):
    """A server whose CPU time and memory are read from /proc."""

    def cpu_seconds(self):
        """User and system time of all threads and child processes, those that have ended included."""
        self.check_alive()
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat[stat.rindex(")") + 2:].split()
        return sum(map(int, fields[11:15])) / TICKS_PER_SECOND

    def rss_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines()
                    if line.startswith("VmRSS:"))

    def wait_until_idle(self, seconds=30):
        """Until compaction, syncing and freeing behind the last load are over (at most `seconds`)."""
        deadline = time.monotonic() + seconds
        before = self.cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(0.2)
            now = self.cpu_seconds()
            if now - before <= 1.5 / TICKS_PER_SECOND:
                return
            before = now


class RewritingServer(MeasuredServer):
    """redis-server as shipped: a child process rewrites its AOF whenever that has doubled."""

    def wait_until_idle(self, seconds=30):
        deadline = time.monotonic() + seconds
        with self.connect() as connection:
            # Until it has been waited for, a child's time is not its parent's.
            while time.monotonic() < deadline and connection.info()["aof_rewrite_in_progress"] != "0":
                time.sleep(0.1)
        super().wait_until_idle(max(1, deadline - time.monotonic()))


class NullServer(MeasuredServer):
    """null-server: answers +OK to everything."""

    def command(self):
        return [self.path, self.port]

    def _wait_until_ready(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with harness.Resp(self.port, timeout=1) as connection:
                    return connection("PING") == b"OK"
            except OSError:
                time.sleep(0.02)
        return False


# --- keys and values -----------------------------------------------------------------------------


def key_of(number):
    return b"key:%012d" % number  # as redis-benchmark -r makes them


def preloaded_value(number):
    return (key_of(number) * 7)[:VALUE_BYTES]


def preload(server, keys):
    """Writes every key once; raises when one is not acknowledged."""
    connection = server.connect(timeout=60)
    acknowledged = 0

    def send():
        for begin in range(0, keys, 5000):
            connection.socket.sendall(b"".join(
                pack(b"SET", key_of(n), preloaded_value(n)) for n in range(begin, min(begin + 5000, keys))))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    while acknowledged < keys:
        if connection.reply() != b"OK":
            raise HarnessError(f"{server.name}: a SET of the preload failed")
        acknowledged += 1
    sender.join(timeout=10)
    connection.close()


def check_values(server, keys, overwritten):
    """No key came or went; a sample has the value of the preload or (only if `overwritten`) one of a
    load generator."""
    chosen = random.sample(range(keys), min(2000, keys))
    generated = set()
    with server.connect() as connection:
        count = connection("DBSIZE")
        if count != keys:
            raise HarnessError(f"{server.name}: DBSIZE {count}, not {keys}")
        replies = connection.pipelined((b"GET", key_of(n)) for n in chosen)
        for number, value in zip(chosen, replies, strict=True):
            if value is None or len(value) != VALUE_BYTES:
                raise HarnessError(f"{server.name}: {key_of(number)} is {value!r}")
            if value != preloaded_value(number):
                generated.add(value)
    # redis-benchmark writes one value everywhere, round-trip another one.
    if len(generated) > (2 if overwritten else 0):
        raise HarnessError(f"{server.name}: values nobody wrote: {list(generated)[:3]}")
    if overwritten and not generated:
        raise HarnessError(f"{server.name}: the SET runs left no trace in {len(chosen)} keys")


# --- runs ----------------------------------------------------------------------------------------


def run_generator(command, server):
    """stdout of a load generator; everything that is wrong with it breaks the run."""
    try:
        done = harness.run(*command, seconds=RUN_SECONDS_MAX)
    except (AssertionError, subprocess.TimeoutExpired) as problem:
        server.check_alive()
        raise HarnessError(f"{server.name}: {problem}") from None
    server.check_alive()
    if b"rror" in done.stderr:
        raise HarnessError(f"{server.name}: {command[0]} says {done.stderr[-500:]!r}")
    return done.stdout.decode()


def run_benchmark(server, scenario, keys, clients=CLIENTS):
    """redis-benchmark; the fields of a Sample that it knows."""
    text = run_generator(
        ["redis-benchmark", "-h", "127.0.0.1", "-p", server.port, "-t", scenario.operation,
         "-n", scenario.requests, "-c", clients, "-P", scenario.pipeline, "-d", VALUE_BYTES,
         "-r", keys, "--csv"], server)
    rows = [row for row in csv.DictReader(io.StringIO(text))
            if row.get("test") == scenario.operation.upper()]
    try:
        row = rows[0]
        return {"rps": float(row["rps"]), "p50_us": float(row["p50_latency_ms"]) * 1000,
                "p99_us": float(row["p99_latency_ms"]) * 1000}
    except (IndexError, KeyError, ValueError):
        raise HarnessError(f"cannot read what redis-benchmark printed: {text!r}") from None


def run_round_trips(server, scenario, keys, program):
    text = run_generator(
        [program, server.port, scenario.operation, scenario.requests, keys, VALUE_BYTES], server)
    try:
        p50, p99, p999 = (float(word) for word in text.split())
    except ValueError:
        raise HarnessError(f"cannot read what round-trip printed: {text!r}") from None
    return {"p50_us": p50, "p99_us": p99, "p999_us": p999}


def measure(server, scenario, keys, round_trip_program):
    """One run. The CPU time counts until the server is idle again: work put off is work done."""
    server.wait_until_idle()
    before = server.cpu_seconds()
    if scenario.pipeline == 0:
        figures = run_round_trips(server, scenario, keys, round_trip_program)
    else:
        figures = run_benchmark(server, scenario, keys)
    server.wait_until_idle()
    cpu_us = (server.cpu_seconds() - before) * 1e6 / scenario.requests
    return Sample(cpu_us=cpu_us, **figures)


def median(samples, field):
    values = [getattr(sample, field) for sample in samples]
    return None if not values or None in values else statistics.median(values)


def pairwise_ratios(ours, theirs, field):
    """kvs / peer of each pair, sorted."""
    ratios = []
    for a, b in zip(ours, theirs, strict=True):
        mine, other = getattr(a, field), getattr(b, field)
        if not other or mine is None:
            raise HarnessError(f"{field}: a run was too short to measure; raise its requests")
        ratios.append(mine / other)
    return sorted(ratios)


def spread(samples, field):
    """(max - min) / median of one server's own runs: the noise."""
    values = [getattr(sample, field) for sample in samples]
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def machine_facts(directory):
    """Lines that say where the figures come from."""
    model = "unknown CPU"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = pathlib.Path("/proc/meminfo").read_text().split()[1]
    device = subprocess.run(["df", "--output=fstype,source", str(directory)], capture_output=True,
                            text=True, timeout=10, check=False).stdout.splitlines()[-1].split()
    return [
        f"{len(os.sched_getaffinity(0))} cores ({model}), {int(memory) >> 20} GiB RAM, "
        f"Linux {os.uname().release}",
        f"data on {' '.join(device)}; load average {os.getloadavg()[0]:.2f} at the start",
    ]


def steal_ticks():
    """(all, stolen) CPU time of the machine since boot."""
    fields = [int(word) for word in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(fields), fields[7]
