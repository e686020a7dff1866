"""figure_13.py - a data set four times as large as the memory: GETs of 64 clients, uniform and zipf.

kvs and RocksDB behind the same server (`--engine rocksdb`), each alone, with the same `--cache-size` of
half the limit; what is left of the limit after the process itself is page cache (memory_limit.py).
Values are of 1000 bytes: with 100 the index of kvs alone, every key in memory, would exceed the limit.
kvs is set beside probe_iops too: random reads of 4 KiB past the page cache, 64 at a time.
"""

import pathlib
import random
import tempfile
import threading

import measure
from figure import FigureRow, say
from measure import HarnessError, harness, pack
from memory_limit import MemoryLimit

CLIENTS = 64
VALUE_BYTES = 1000
DISTRIBUTIONS = ("uniform", "zipf")


_noise = random.Random(13).randbytes(1 << 20)


def value_of(number):
    """Its key, then bytes that no compression makes shorter."""
    key = measure.key_of(number)
    begin = number * 7919 % (len(_noise) - VALUE_BYTES)
    return key + _noise[begin:begin + VALUE_BYTES - len(key)]


def preload(server, keys):
    connection = server.connect(timeout=120)

    def send():
        for begin in range(0, keys, 1000):
            connection.socket.sendall(b"".join(
                pack(b"SET", measure.key_of(n), value_of(n)) for n in range(begin, min(begin + 1000, keys))))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    for _ in range(keys):
        if connection.reply() != b"OK":
            raise HarnessError(f"{server.name}: a SET of the preload failed")
    sender.join(timeout=10)
    connection.close()


def gets(server, binary, seconds, keys, distribution, seed):
    """(GETs per second, p50, p99 in us, CPU us per GET)."""
    before = server.cpu_seconds()
    text = measure.run_generator(
        [binary.parent / "closed-loop", server.port, CLIENTS, seconds, keys, VALUE_BYTES, distribution,
         seed], server)
    try:
        rate, p50, p99 = (float(word) for word in text.split())
    except ValueError:
        raise HarnessError(f"cannot read what closed-loop printed: {text!r}") from None
    return rate, p50, p99, (server.cpu_seconds() - before) * 1e6 / (rate * seconds)


def probe_iops(binary, seconds, file_bytes):
    with tempfile.TemporaryDirectory(prefix="kvs-bench-") as directory:
        path = pathlib.Path(directory) / "blocks"
        with open(path, "wb") as file:
            for _ in range(file_bytes >> 20):
                file.write(bytes(1 << 20))
        harness.run("sync", path, seconds=120)
        done = harness.run(binary.parent / "probe-iops", path, CLIENTS, seconds, seconds=60 + seconds)
    return float(done.stdout)


def run(arguments):
    binary = arguments.binary.absolute()
    for program in ("closed-loop", "probe-iops"):
        if not (binary.parent / program).exists():
            raise HarnessError(f"{binary.parent / program} is missing; build it first")
    tempfile.tempdir = str(arguments.dir)
    keys, seconds, pairs = (40_000, 1, 1) if arguments.short else (1_000_000, 8, arguments.pairs)
    data_bytes = keys * (VALUE_BYTES + 16)
    # A small run could not even start in a quarter of its data.
    limit_bytes = max(data_bytes // 4, 96 << 20) if arguments.short else data_bytes // 4
    cache = f"--cache-size={limit_bytes // 2}"
    rates = {(name, d): [] for name in ("kvs", "rocksdb") for d in DISTRIBUTIONS}
    limits = []
    servers = {
        "kvs": measure.MeasuredServer(cache, *arguments.kvs_option, path=binary, name="kvs"),
        "rocksdb": measure.MeasuredServer(cache, "--engine", "rocksdb", *arguments.kvs_option,
                                          path=binary, name="rocksdb"),
    }
    with servers["kvs"], servers["rocksdb"]:
        for server in servers.values():
            preload(server, keys)
            server.wait_until_idle()
        say(f"figure 13: {data_bytes >> 20} MiB in each, limit {limit_bytes >> 20} MiB")
        for distribution in DISTRIBUTIONS:
            for pair in range(pairs):
                for name, server in servers.items():
                    with MemoryLimit(server, limit_bytes) as limit:
                        if pair == 0:
                            gets(server, binary, seconds, keys, distribution, 1000)  # fills the caches
                        rate, p50, p99, cpu = gets(server, binary, seconds, keys, distribution, pair)
                    rates[name, distribution].append(rate)
                    say(f"figure 13: {name}, {distribution}: {rate:.0f} GET/s, p50 {p50:.0f} us, p99 {p99:.0f}, "
                        f"CPU {cpu:.1f} us/GET, memory at most {limit.most_bytes >> 20} MiB "
                        f"in {limit.rounds} rounds")
                if distribution == "uniform":
                    limits.append(probe_iops(binary, min(seconds, 3), min(data_bytes, 1 << 30)))
                    say(f"figure 13: probe_iops {limits[-1]:.0f}/s")
    text = f"GET/s, {keys} values of {VALUE_BYTES}, memory for a quarter, {CLIENTS} clients"
    return [
        FigureRow("13", f"zipf {text}", "RocksDB", rates["kvs", "zipf"], rates["rocksdb", "zipf"],
                  at_least=2.0),
        FigureRow("13", f"uniform {text}", "RocksDB", rates["kvs", "uniform"],
                  rates["rocksdb", "uniform"], at_least=1.3),
        FigureRow("13", f"uniform {text}", "probe_iops", rates["kvs", "uniform"], limits, at_least=0.8),
    ]
