#!/usr/bin/python3
"""local_sockets.py - the server behind a path, and on sockets that a service manager has opened.

Clients that speak through the path are redis-cli, redis-benchmark and redis-py. The service manager is this test,
which passes sockets as sd_listen_fds(3) says.
"""

import fcntl
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

import harness
from harness import run

harness.need_programs("redis-cli", "redis-benchmark")
try:
    import redis
except ImportError:
    redis = None


class LocalCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kvs-local-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.path = self.folder / "kvs.sock"

    def start(self, *options):
        server = harness.Server(*options)
        self.addCleanup(server.close)
        return server.start()

    def cli(self, *words, stdin=b"", check=True):
        return run("redis-cli", "-s", self.path, *words, stdin=stdin, check=check).stdout

    def refused(self, *options):
        """What a server says that does not start."""
        (self.folder / "other").mkdir(exist_ok=True)
        done = run(harness.server_program(), "--dir", self.folder / "other", *options, check=False)
        self.assertEqual(1, done.returncode)
        return done.stderr.decode()


class Path(LocalCase):
    def test_clients_of_this_machine_are_served(self):
        server = self.start("--unixsocket", self.path, "--unixsocketperm", "770")
        self.assertEqual(0o770, stat.S_IMODE(self.path.stat().st_mode))
        self.assertEqual(b"OK\n", self.cli("SET", "name", "Ada"))
        with server.connect() as connection:
            self.assertEqual(b"Ada", connection("GET", "name"))
        large = b"x" * 3_000_000
        self.assertEqual(b"OK\n", self.cli("-x", "SET", "large", stdin=large))
        self.assertEqual(large + b"\n", self.cli("GET", "large"))
        commands = b"".join(harness.pack("SET", f"key:{n}", n) for n in range(20000))
        self.assertIn(b"errors: 0, replies: 20000", self.cli("--pipe", stdin=commands))
        line = self.cli("CLIENT", "LIST").decode()
        self.assertIn(f" addr={self.path}:0 laddr={self.path}:0 ", line)
        self.assertIn(" flags=U ", line)
        self.assertEqual(f"unixsocket\n{self.path}\n", self.cli("CONFIG", "GET", "unixsocket").decode())
        self.assertEqual(b"unixsocketperm\n770\n", self.cli("CONFIG", "GET", "unixsocketperm"))
        self.assertIn(f"name=unix,bind={self.path}", self.cli("INFO", "server").decode())
        for depth in (1, 16):
            done = run("redis-benchmark", "-s", self.path, "-t", "set,get", "-n", 20000, "-P", depth, "-q")
            self.assertEqual(2, done.stdout.count(b"requests per second"), done.stdout)

    def test_such_a_client_is_local_and_stays_so(self):
        self.start("--unixsocket", self.path, "--enable-debug-command", "local")
        said = self.cli(stdin=b"DEBUG SLEEP 0\nRESET\nCLIENT LIST\nDEBUG SLEEP 0\n").decode().splitlines()
        self.assertEqual(["OK", "RESET"], said[:2])
        self.assertIn(" flags=U ", said[2])
        self.assertEqual("OK", said[-1])

    @unittest.skipIf(redis is None, "python3-redis is not installed")
    def test_redis_py_is_served(self):
        self.start("--unixsocket", self.path)
        client = redis.Redis(unix_socket_path=str(self.path))
        self.assertTrue(client.set("name", "Ada"))
        self.assertEqual(b"Ada", client.get("name"))
        with client.pipeline() as pipeline:
            self.assertEqual([True, 1], pipeline.set("n", 0).incr("n").execute())

    def test_the_path_goes_with_the_server_and_is_taken_over_from_a_killed_one(self):
        server = self.start("--unixsocket", self.path)
        self.assertEqual(b"OK\n", self.cli("SET", "name", "Ada"))
        server.kill()
        self.assertTrue(self.path.exists())
        server.start()
        self.assertEqual(b"Ada\n", self.cli("GET", "name"))
        server.stop()
        self.assertFalse(self.path.exists())

    def test_nobody_takes_the_path_of_somebody_else(self):
        self.start("--unixsocket", self.path)
        says = self.refused("--addr", "127.0.0.1:0", "--unixsocket", self.path)
        self.assertIn(f"cannot listen on {self.path}: Address already in use", says)
        self.assertEqual([], list((self.folder / "other").iterdir()))
        self.assertEqual(b"PONG\n", self.cli("PING"))
        file = self.folder / "letter"
        file.write_text("dear", encoding="ascii")
        self.assertIn("what is there is no socket", self.refused("--addr", "127.0.0.1:0", "--unixsocket", file))
        self.assertEqual("dear", file.read_text(encoding="ascii"))
        self.assertIn("a socket's path has at most 107 bytes",
                      self.refused("--addr", "127.0.0.1:0", "--unixsocket", self.folder / ("x" * 108)))
        self.assertIn("expected an octal number up to 777", run(
            harness.server_program(), "--unixsocketperm", "888", check=False).stderr.decode())

    def test_the_path_may_be_all_there_is(self):
        data = self.folder / "data"
        data.mkdir()
        process = harness.spawn([harness.server_program(), "--addr", "127.0.0.1:0", "--dir", data,
                                 "--unixsocket", self.path], stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        wait_for(self.path.exists)
        self.assertEqual(b"PONG\n", self.cli("PING"))
        self.assertEqual([], tcp_ports_of(process.pid))
        process.terminate()
        self.assertEqual(0, process.wait(timeout=harness.patience(20)))


class Passed(LocalCase):
    def activate(self, sockets, *options, names=None, pid="$$"):
        """A server that is told of `sockets`, which become its descriptors from 3 on."""
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        moves = " ".join(f"{3 + n}<&{sock.fileno()}" for n, sock in enumerate(sockets))
        script = f'LISTEN_PID={pid} LISTEN_FDS={len(sockets)} LISTEN_FDNAMES={names or ""} exec "$@" {moves}'
        process = harness.spawn(["bash", "-c", script, "bash", harness.server_program(), "--dir", data, *options],
                                pass_fds=[sock.fileno() for sock in sockets], stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def sockets(self):
        tcp = socket.socket()
        tcp.bind(("127.0.0.1", 0))
        path = socket.socket(socket.AF_UNIX)
        path.bind(str(self.path))
        for sock in (tcp, path):
            self.addCleanup(sock.close)
            sock.listen(50)
        return [high(self, sock) for sock in (tcp, path)]

    def test_passed_sockets_are_served_and_no_others_are_opened(self):
        tcp, path = self.sockets()
        port = tcp.getsockname()[1]
        process = self.activate([tcp, path], "--addr", f"127.0.0.1:{harness.free_port()}")
        with harness.Resp(port) as connection:
            self.assertEqual(b"OK", connection("SET", "name", "Ada"))
        self.assertEqual(b"Ada\n", self.cli("GET", "name"))
        self.assertEqual([port], tcp_ports_of(process.pid))
        process.terminate()
        self.assertEqual(0, process.wait(timeout=harness.patience(20)))
        self.assertTrue(self.path.exists(), "a passed socket's path is not the server's to remove")

    def test_clients_wait_in_a_passed_socket_while_the_server_is_restarted(self):
        tcp, path = self.sockets()
        port = tcp.getsockname()[1]
        first = self.activate([tcp, path])
        with harness.Resp(port) as connection:
            self.assertEqual(b"OK", connection("SET", "name", "Ada"))
        first.send_signal(signal.SIGTERM)
        self.assertEqual(0, first.wait(timeout=harness.patience(20)))
        with harness.Resp(port, timeout=harness.patience(30)) as connection:
            connection.send("GET", "name")
            self.activate([tcp, path])
            self.assertEqual(b"Ada", connection.reply())

    def test_what_is_no_listening_socket_is_refused(self):
        plain = socket.socket()
        self.addCleanup(plain.close)
        plain = high(self, plain)
        process = self.activate([plain])
        self.assertEqual(1, process.wait(timeout=harness.patience(20)))
        self.assertIn(b"descriptor 3, which is no listening stream socket", process.stderr.read())

    def test_tls_needs_a_certificate(self):
        tcp, _ = self.sockets()
        process = self.activate([tcp], names="tls")
        self.assertEqual(1, process.wait(timeout=harness.patience(20)))
        self.assertIn(b"a socket named 'tls', but there is no tls-port", process.stderr.read())

    def test_what_was_meant_for_another_process_is_left_alone(self):
        tcp, _ = self.sockets()
        port = harness.free_port()
        process = self.activate([tcp], "--addr", f"127.0.0.1:{port}", pid="1")
        wait_for(lambda: port in tcp_ports_of(process.pid))
        with harness.Resp(tcp.getsockname()[1], timeout=0.5) as connection:
            connection.send("PING")
            with self.assertRaises(TimeoutError):
                connection.reply()


def high(case, sock):
    """The same socket under a high number, so that the moves to 3, 4 ... overwrite none of them."""
    copy = socket.socket(fileno=fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, 100))
    case.addCleanup(copy.close)
    return copy


def tcp_ports_of(pid):
    """The ports that a process listens on."""
    own = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            own.add(os.readlink(entry.path))
        except FileNotFoundError:  # closed since the folder was read
            continue
    ports = set()
    for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
            ports.add(int(fields[1].split(":")[1], 16))
    return sorted(ports)


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + harness.patience(seconds)
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not come true in time")
        time.sleep(0.02)


if __name__ == "__main__":
    harness.main(seconds=100)
