"""figure_07.py - restart to the first correct GET (performance.md, figure 7).

Both servers hold the same keys (ten times --keys: 10 M). Killed: SIGKILL while redis-benchmark overwrites
half of them, then a start from what is there, for Redis its raw AOF. Clean: Redis has rewritten its AOF,
both have been told to stop and did. What is timed is exec to the first right value of a key that nobody
overwrote. The page cache is warm for both.
"""

import subprocess
import time

import measure
from figure import FigureRow, say
from measure import HarnessError, harness

SECONDS_MAX = 300


def first_right_answer(server, keys):
    """Starts the server; seconds until a GET is answered with what was written."""
    begin = time.monotonic()
    server.start(seconds=SECONDS_MAX)
    with server.connect() as connection:
        value = connection("GET", measure.key_of(keys - 1))
        took = time.monotonic() - begin
        if value != measure.preloaded_value(keys - 1):
            raise HarnessError(f"{server.name}: {value!r} after a restart")
        if connection("DBSIZE") != keys:
            raise HarnessError(f"{server.name}: not all keys are there after a restart")
    return took


def kill_under_load(server, keys):
    """SIGKILL in the middle of SETs, once some have been acknowledged."""
    with server.connect() as connection:
        before = int(connection("INFO", "stats").split(b"total_commands_processed:")[1].split()[0])
        load = harness.spawn(
            ["redis-benchmark", "-h", "127.0.0.1", "-p", server.port, "-t", "set", "-n", 100_000_000, "-c",
             measure.CLIENTS, "-P", 16, "-d", measure.VALUE_BYTES, "-r", max(1, keys // 2), "-q"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 60
            done = 0
            while done < keys // 10 and time.monotonic() < deadline:
                time.sleep(0.05)
                info = connection("INFO", "stats")
                done = int(info.split(b"total_commands_processed:")[1].split()[0]) - before
            server.kill()
        finally:
            load.kill()
            load.wait(timeout=10)


def rewrite(server):
    with server.connect(timeout=60) as connection:
        connection("BGREWRITEAOF")
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            time.sleep(0.1)
            info = connection("INFO", "persistence")
            if b"aof_rewrite_in_progress:0" in info and b"aof_rewrite_scheduled:0" in info:
                return
    raise HarnessError("Redis does not end its rewrite")


def run(arguments):
    keys = arguments.keys if arguments.short else 10 * arguments.keys
    pairs = min(arguments.pairs, 3)
    times = {(kind, stop): [] for kind in ("kvs", "redis") for stop in ("killed", "clean")}
    kvs = measure.MeasuredServer(*arguments.kvs_option, path=arguments.binary.absolute(), name="kvs")
    redis = measure.MeasuredServer(path=harness.shutil.which(arguments.redis), name="redis",
                                   redis_options=["--auto-aof-rewrite-percentage", "0"])
    servers = {"kvs": kvs, "redis": redis}
    try:
        for server in servers.values():
            server.start()
            measure.preload(server, keys)
            server.wait_until_idle()
        say(f"restart: {keys} keys in both servers")
        # All of the killed ones first: a rewrite would take Redis' raw AOF away.
        for _ in range(pairs):
            for kind, server in servers.items():
                kill_under_load(server, keys)
                times[kind, "killed"].append(first_right_answer(server, keys))
        say("restart: killed done")
        rewrite(redis)
        for _ in range(pairs):
            for kind, server in servers.items():
                server.wait_until_idle()
                server.stop()
                times[kind, "clean"].append(first_right_answer(server, keys))
        for server in servers.values():
            server.stop()
    finally:
        for server in servers.values():
            server.close()
    text = f"restart to the first right GET, s, {keys} keys, "
    return [
        FigureRow("7", text + "after SIGKILL under load", "Redis", times["kvs", "killed"],
                  times["redis", "killed"], at_most=0.15),
        FigureRow("7", text + "after a clean stop", "Redis", times["kvs", "clean"],
                  times["redis", "clean"], at_most=0.15),
        FigureRow("7", text + "after SIGKILL, against 2 s", "limit", times["kvs", "killed"],
                  [2.0] * pairs, at_most=1.0),
        FigureRow("7", text + "after a clean stop, against 2 s", "limit", times["kvs", "clean"],
                  [2.0] * pairs, at_most=1.0),
    ]
