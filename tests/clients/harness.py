"""harness.py - what every Python test of a running server needs: a server, a raw connection, a way to skip.

A test program starts its own server on a free port with its data in a private directory, and ends
only that process, by its process object. The server is found through the environment:

  KVS_TEST_BIN     folder that holds kvs-server and kvs-client (ctest sets it)
  KVS_TEST_SERVER  path of another server program; when it is called redis-server it is started
                   with Redis' options, so that a test can be tried against the original
  KVS_TEST_ENGINE  engine that kvs-server is told to use
  KVS_TEST_SLOW    1: longer timeouts and less work (set by itself for a sanitizer build)

Every wait is bounded: sockets and child processes have timeouts, and `watchdog` ends a program that
hangs all the same. A server dies with the test that started it (PR_SET_PDEATHSIG).
Standard library only. Not here: what is tested.
"""

import ctypes
import faulthandler
import functools
import mmap
import os
import pathlib
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
PR_SET_PDEATHSIG = 1


class HarnessError(Exception):
    """The test could not be carried out: no server, a server that died, a timeout."""


# --- where the programs are ----------------------------------------------------------------------


def program(name):
    """Path of kvs-server or kvs-client in the build that is tested."""
    folder = os.environ.get("KVS_TEST_BIN") or SOURCE / "build" / "release" / "bin"
    return pathlib.Path(folder) / name


def server_program():
    return pathlib.Path(os.environ.get("KVS_TEST_SERVER") or program("kvs-server"))


@functools.lru_cache(maxsize=None)
def has_sanitizer(path):
    """True when the program carries a sanitizer's runtime, which makes it many times slower."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(b"__asan_init") >= 0 or text.find(b"__tsan_init") >= 0


def is_slow():
    if os.environ.get("KVS_TEST_SLOW"):
        return os.environ["KVS_TEST_SLOW"] != "0"
    path = server_program()
    return path.exists() and has_sanitizer(path)


def patience(seconds):
    """A timeout for a quick machine, stretched where everything takes longer."""
    return seconds * (5 if is_slow() else 1)


def skip_whole_program(reason):
    """ctest shows the test as skipped when it prints this line."""
    print(f"SKIPPED WHOLE PROGRAM: {reason}", flush=True)
    sys.exit(0)


def need_programs(*names):
    missing = [name for name in names if not shutil.which(name)]
    if missing:
        skip_whole_program(f"not installed: {', '.join(missing)}")


def watchdog(seconds):
    """Ends this process with a traceback of all threads after `seconds` (stretched)."""
    faulthandler.dump_traceback_later(patience(seconds), exit=True)


# --- processes -----------------------------------------------------------------------------------


def _die_with_parent():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command, **options):
    """subprocess.Popen whose child is killed when this process dies."""
    return subprocess.Popen([str(word) for word in command], preexec_fn=_die_with_parent, **options)


def run(*command, stdin=b"", check=True, seconds=30, environment=None):
    """Runs a program to its end; stdout and stderr are bytes. `check`: a non-zero exit is a failure."""
    done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True,
                          timeout=patience(seconds), env=environment, preexec_fn=_die_with_parent)
    if check and done.returncode != 0:
        raise AssertionError(f"{shlex.join(str(w) for w in command)} ended with {done.returncode}\n"
                             f"stdout: {done.stdout[-2000:]!r}\nstderr: {done.stderr[-2000:]!r}")
    return done


def free_port():
    """A port nobody listens on, below the range that outgoing connections take theirs from."""
    for _ in range(200):
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise HarnessError("no free port found")


class Server:
    """One server process over one private data directory, which survives kill() and start()."""

    def __init__(self, *kvs_options, path=None, redis_options=(), name=None):
        self.path = pathlib.Path(path or server_program())
        self.is_redis = self.path.name.startswith("redis-server")
        self.name = name or self.path.name
        self.options = list(redis_options if self.is_redis else kvs_options)
        self.port = None
        self.process = None
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="kvs-test-"))
        self.directory = self.root / "data"
        self.directory.mkdir()
        self.log_path = self.root / "server.log"

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.process is not None:
                self.stop()
        finally:
            self.close()

    def command(self):
        if self.is_redis:
            return [self.path, "--port", self.port, "--bind", "127.0.0.1", "--dir", self.directory,
                    "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
                    "--daemonize", "no", *self.options]
        engine = os.environ.get("KVS_TEST_ENGINE")
        chosen = ["--engine", engine] if engine and "--engine" not in self.options else []
        return [self.path, "--addr", f"127.0.0.1:{self.port}", "--dir", self.directory,
                "--sync", "everysec", *chosen, *self.options]

    def start(self, seconds=30):
        """Starts the process and waits until it answers PING. Keeps the port once it had one."""
        assert self.process is None
        keep_port = self.port is not None
        for attempt in range(5):
            if not keep_port:
                self.port = free_port()
            with open(self.log_path, "ab") as log:
                self.process = spawn(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            if self._wait_until_ready(patience(seconds)):
                return self
            self.process = None
            if keep_port or attempt == 4:
                break  # another port would not help
        raise HarnessError(f"{self.name} did not start; its log ends:\n{self.log_tail()}")

    def _wait_until_ready(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            try:
                with Resp(self.port, timeout=1) as connection:
                    if connection("PING") == b"PONG":
                        return self.process.poll() is None
            except (OSError, EOFError, ReplyError):
                pass  # not listening yet, or still loading
            time.sleep(0.02)
        self.process.kill()
        self.process.wait()
        return False

    def check_alive(self):
        code = self.process.poll() if self.process else "none"
        if code is not None:
            raise HarnessError(f"{self.name} is gone (exit {code}); its log ends:\n{self.log_tail()}")

    def kill(self):
        """SIGKILL, and waits for the end."""
        self.check_alive()
        self.process.kill()
        self.process.wait(timeout=patience(10))
        self.process = None

    def stop(self):
        """SIGTERM; the server must end by itself with exit code 0 (a sanitizer's finding is another)."""
        self.check_alive()
        self.process.terminate()
        try:
            code = self.process.wait(timeout=patience(20))
        except subprocess.TimeoutExpired:
            raise HarnessError(f"{self.name} does not stop on SIGTERM; log:\n{self.log_tail()}") from None
        self.process = None
        if code != 0:
            raise HarnessError(f"{self.name} ended with {code} after SIGTERM; log:\n{self.log_tail()}")

    def restart_after_kill(self):
        self.kill()
        self.start()

    def close(self):
        """Ends what is left and removes the data."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None
        shutil.rmtree(self.root, ignore_errors=True)

    def connect(self, timeout=30):
        return Resp(self.port, patience(timeout))

    def log_tail(self, lines=30):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def allocated_bytes(self):
        """What the data directory takes on disk."""
        total = 0
        for path in self.directory.rglob("*"):
            try:
                total += path.lstat().st_blocks * 512
            except FileNotFoundError:
                pass  # compaction removed it meanwhile
        return total


# --- a raw connection ----------------------------------------------------------------------------


class ReplyError(Exception):
    """An error reply."""


def pack(*words):
    """One request as RESP."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        if not isinstance(word, bytes):
            word = str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(parts)


class Resp:
    """A blocking RESP2 connection; replies are bytes, int, None, list, or ReplyError raised."""

    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb", 1 << 18)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reader.close()
        self.socket.close()

    def send(self, *words):
        self.socket.sendall(pack(*words))

    def __call__(self, *words):
        self.send(*words)
        return self.reply()

    def reply(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError(f"connection closed within {line!r}")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise ReplyError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            size = int(rest)
            if size < 0:
                return None
            body = self.reader.read(size + 2)
            if len(body) != size + 2 or body[-2:] != b"\r\n":
                raise EOFError(f"connection closed within a bulk of {size} bytes")
            return body[:-2]
        if kind == b"*":
            count = int(rest)
            return None if count < 0 else [self.reply() for _ in range(count)]
        raise HarnessError(f"not RESP2: {line!r}")

    def pipelined(self, commands, depth=500):
        """Yields the reply of each command; at most `depth` are under way."""
        waiting = 0
        chunk = []
        for command in commands:
            chunk.append(pack(*command))
            if len(chunk) == depth:
                self.socket.sendall(b"".join(chunk))
                for _ in chunk:
                    yield self.reply()
                chunk = []
        if chunk:
            self.socket.sendall(b"".join(chunk))
            for _ in chunk:
                yield self.reply()

    def info(self, section="everything"):
        """INFO as a dictionary of text."""
        text = self("INFO", section).decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)


# --- test programs -------------------------------------------------------------------------------


class ServerTestCase(unittest.TestCase):
    """Tests that share one server; it must stop cleanly when they are done."""

    kvs_options = ()
    redis_options = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.kvs_options, redis_options=cls.redis_options)
        cls.addClassCleanup(cls.server.close)
        cls.server.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        with self.server.connect() as connection:
            connection("FLUSHALL")

    def tearDown(self):
        self.server.check_alive()


def main(seconds):
    """Runs the tests of the calling program within `seconds` (stretched for a slow server)."""
    if not server_program().exists():
        print(f"no server program at {server_program()}", file=sys.stderr)
        sys.exit(1)
    watchdog(seconds)
    unittest.main(module="__main__", verbosity=2)
