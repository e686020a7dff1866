#!/usr/bin/python3
"""package_index.py - real input: the package index of this machine goes in, is killed, and is all there.

Key = package name, value = its stanza of `apt-cache dumpavail`, byte for byte (of several versions
the last wins): tens of thousands of keys, 50 MB. The story:

  1. load through redis-cli --pipe, a part through kvs-client; read every value back.
  2. load again with new values over several connections; SIGKILL in the middle; restart: every
     acknowledged new value is there, and what was not acknowledged is the old or the new value.
  3. overwrite everything until compaction must run, ask for it, wait until it is done and has given
     the space back; read everything; SIGKILL; restart; read everything.
  4. load with new values and SIGKILL in the middle of that and of a compaction; as 2.

Values differ in every load, so that a value of an earlier one is never taken for the right one.
With a slow server (sanitizers, KVS_TEST_SLOW=1) every 10th package is used. See clients/harness.py
for the environment. Not here: generated keys and faults of the disk (tests/crash).
"""

import pathlib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))

import harness  # noqa: E402
from harness import HarnessError, pack, run  # noqa: E402

SEGMENT_BYTES = 4 << 20
CLIENT_KEYS = 200        # loaded through kvs-client, a process each
LOADERS = 4              # connections of the load that is killed
LOADER_WINDOW = 200      # their requests under way
STANZAS_MIN = 1000       # fewer: nobody ran apt-get update here
SPACE_MAX = 2.5          # allocated bytes / live bytes that compaction must get to


# --- the input -----------------------------------------------------------------------------------


def read_index():
    """Package name -> stanza, both bytes."""
    done = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, timeout=60, check=False)
    stanzas = {}
    for stanza in done.stdout.split(b"\n\n"):
        if stanza.startswith(b"Package: "):
            stanzas[stanza[9:stanza.index(b"\n")]] = stanza + b"\n"
    if len(stanzas) < STANZAS_MIN:
        harness.skip_whole_program(f"apt-cache dumpavail knows {len(stanzas)} packages here; "
                                   "`apt-get update` would fill it")
    if harness.is_slow():
        stanzas = dict(list(stanzas.items())[::10])
    return stanzas


def value_of(stanzas, name, load):
    """The value of `name` in load 0 (the stanza itself), 1, 2, ..."""
    return stanzas[name] if load == 0 else b"Load: %d\n" % load + stanzas[name]


# --- steps ---------------------------------------------------------------------------------------


def load_with_pipe(server, stanzas, names, load):
    stream = b"".join(pack("SET", name, value_of(stanzas, name, load)) for name in names)
    report = run("redis-cli", "-p", server.port, "--pipe", stdin=stream, seconds=60).stdout
    expected = b"errors: 0, replies: %d" % len(names)
    if expected not in report:
        raise AssertionError(f"redis-cli --pipe: {report!r}, not {expected!r}")


def load_with_client(server, stanzas, names):
    client = harness.program("kvs-client")
    for name in names:
        if server.is_redis and not client.exists():
            run("redis-cli", "-p", server.port, "SET", name.decode(), stanzas[name].decode())
            continue
        key, value = name.decode(), stanzas[name].decode()
        done = run(client, "set", key, value, "--addr", f"127.0.0.1:{server.port}")
        assert (done.stdout, done.stderr) == (b"", b""), done
    if client.exists():
        for name in names[:20]:
            done = run(client, "get", name.decode(), "--addr", f"127.0.0.1:{server.port}")
            assert done.stdout == stanzas[name] + b"\n", done
            assert done.stderr == b"", done


def check_all(server, stanzas, allowed):
    """Reads every value; `allowed(name)` gives the loads of which it may be. Returns how many are of
    the first one allowed."""
    names = list(stanzas)
    newest = 0
    with server.connect() as connection:
        count = connection("DBSIZE")
        assert count == len(names), f"DBSIZE {count}, not {len(names)}"
        replies = connection.pipelined(("GET", name) for name in names)
        for name, value in zip(names, replies, strict=True):
            loads = allowed(name)
            matching = [load for load in loads if value == value_of(stanzas, name, load)]
            if not matching:
                shown = "missing" if value is None else f"{len(value)} bytes, {value[:60]!r}"
                raise AssertionError(f"{name!r} is not of load {loads}: {shown}")
            newest += matching[0] == loads[0]
    return newest


class Loader(threading.Thread):
    """One connection that SETs its names, LOADER_WINDOW at a time, and counts what is acknowledged."""

    def __init__(self, server, stanzas, names, load):
        super().__init__(daemon=True)
        self.connection = server.connect()
        self.stanzas, self.names, self.load = stanzas, names, load
        self.acknowledged = 0  # names[:acknowledged]; replies come in order
        self.problem = None

    def run(self):
        try:
            self.send_all()
        except (ConnectionError, EOFError):
            self.drain()  # killed, as planned
        except Exception as problem:  # reported by the thread that joins
            self.problem = problem
        finally:
            self.connection.close()

    def send_all(self):
        sent = 0
        while self.acknowledged < len(self.names):
            batch = self.names[sent:self.acknowledged + LOADER_WINDOW]
            if batch:
                self.connection.socket.sendall(b"".join(
                    pack("SET", name, value_of(self.stanzas, name, self.load)) for name in batch))
                sent += len(batch)
            for _ in range(min(LOADER_WINDOW // 2, sent - self.acknowledged)):
                self.take_reply()

    def take_reply(self):
        reply = self.connection.reply()
        if reply != b"OK":
            raise AssertionError(f"SET answered {reply!r}")
        self.acknowledged += 1

    def drain(self):
        """Acknowledgements that had arrived before the end count too."""
        try:
            while True:
                self.take_reply()
        except (OSError, EOFError):
            pass


def load_and_kill(server, stanzas, load, while_loading=None):
    """SETs everything anew and kills the server half way; name -> was it acknowledged?"""
    names = list(stanzas)
    loaders = [Loader(server, stanzas, names[n::LOADERS], load) for n in range(LOADERS)]
    for loader in loaders:
        loader.start()
    deadline = time.monotonic() + harness.patience(60)
    started = False
    while True:
        done = sum(loader.acknowledged for loader in loaders)
        if while_loading and not started and done >= len(names) // 4:
            while_loading()
            started = True
        if done >= len(names) // 2 or any(loader.problem for loader in loaders):
            break
        if time.monotonic() > deadline:
            raise HarnessError(f"only {done} of {len(names)} loaded in time")
        time.sleep(0.001)
    server.kill()
    acknowledged = {}
    for loader in loaders:
        loader.join(timeout=harness.patience(30))
        if loader.is_alive():
            raise HarnessError("a loader hangs after its server was killed")
        if loader.problem:
            raise loader.problem
        for n, name in enumerate(loader.names):
            acknowledged[name] = n < loader.acknowledged
    count = sum(acknowledged.values())
    if count == len(names):
        raise HarnessError("the load ended before the kill: nothing was tested")
    return acknowledged, count


def compact(server, live_bytes):
    """Asks for compaction and waits until it is over and the space is given back."""
    before = server.allocated_bytes()
    # Two segments are allocated ahead: the one being written and the one after it.
    space_max = SPACE_MAX * live_bytes + 2 * SEGMENT_BYTES
    with server.connect() as connection:
        connection("BGREWRITEAOF")
        deadline = time.monotonic() + harness.patience(60)
        while True:
            time.sleep(0.2)
            info = connection.info("persistence")
            after = server.allocated_bytes()
            # A server may end one compaction and find that another is worth while: both must hold.
            if info["aof_rewrite_in_progress"] == "0" and after <= space_max:
                break
            if time.monotonic() > deadline:
                raise AssertionError(f"compaction does not end: {before >> 20} MiB before, "
                                     f"{after >> 20} MiB after, {live_bytes >> 20} MiB are live; {info}")
        assert info["aof_last_bgrewrite_status"] == "ok", info
    return before, after


# --- the story -----------------------------------------------------------------------------------


def main():
    harness.need_programs("apt-cache", "redis-cli")
    stanzas = read_index()
    harness.watchdog(250)
    names = list(stanzas)
    live_bytes = sum(len(name) + len(stanza) for name, stanza in stanzas.items())
    begin = time.monotonic()

    def say(text):
        print(f"[{time.monotonic() - begin:5.1f} s] {text}", flush=True)

    say(f"{len(names)} packages, {live_bytes >> 20} MiB, from apt-cache dumpavail")
    with harness.Server("--segment-size", str(SEGMENT_BYTES)) as server:
        try:
            tell(server, stanzas, names, live_bytes, say)
        except Exception:
            print(f"the server's log ends:\n{server.log_tail()}", flush=True)
            raise
    say("done")


def tell(server, stanzas, names, live_bytes, say):
    def current(load):
        return lambda name: (load,)

    def old_or_new(acknowledged, old, new):
        return lambda name: (new,) if acknowledged[name] else (new, old)

    # 1
    step = max(1, len(names) // CLIENT_KEYS)
    by_client = names[::step][:CLIENT_KEYS]
    chosen = set(by_client)
    load_with_pipe(server, stanzas, [name for name in names if name not in chosen], 0)
    load_with_client(server, stanzas, by_client)
    check_all(server, stanzas, current(0))
    say(f"loaded by redis-cli --pipe, {len(by_client)} by kvs-client; every value read back")

    # 2
    acknowledged, count = load_and_kill(server, stanzas, 1)
    server.start()
    new = check_all(server, stanzas, old_or_new(acknowledged, 0, 1))
    say(f"killed after {count} of {len(names)} acknowledged: all there ({new} new)")

    # 3
    for load in (2, 3, 4):
        load_with_pipe(server, stanzas, names, load)
    before, after = compact(server, live_bytes)
    check_all(server, stanzas, current(4))
    server.restart_after_kill()
    check_all(server, stanzas, current(4))
    say(f"overwritten and compacted ({before >> 20} -> {after >> 20} MiB), killed: all there")

    # 4
    def ask_for_compaction():
        with server.connect() as connection:
            connection("BGREWRITEAOF")

    acknowledged, count = load_and_kill(server, stanzas, 5, while_loading=ask_for_compaction)
    server.start()
    new = check_all(server, stanzas, old_or_new(acknowledged, 4, 5))
    say(f"killed after {count} of {len(names)} acknowledged while compacting: all there ({new} new)")


if __name__ == "__main__":
    main()
