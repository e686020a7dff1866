#!/usr/bin/python3
"""redis_cli.py - Debian's redis-cli does a session of real work: every mode an operator uses."""

import collections
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import tempfile
import termios
import time

import harness
from harness import ReplyError, pack, run


class Terminal:
    """redis-cli as a person meets it: on a pseudo terminal of 24 x 120."""

    def __init__(self, command):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
        self.home = tempfile.TemporaryDirectory(prefix="kvs-test-home-")  # its history file
        environment = dict(os.environ, TERM="xterm", HOME=self.home.name)
        environment.pop("FAKETTY", None)
        self.process = harness.spawn(command, stdin=slave, stdout=slave, stderr=slave,
                                     env=environment, start_new_session=True)
        os.close(slave)
        self.text = ""

    def read_until(self, *patterns, seconds=10):
        """Everything that arrived up to the moment when the last of `patterns` has matched."""
        deadline = time.monotonic() + harness.patience(seconds)
        while not all(re.search(pattern, self.text) for pattern in patterns):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"waited for {patterns}, on screen: {self.text!r}")
            try:
                arrived = os.read(self.master, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                raise AssertionError(f"ended before {patterns}: {self.text!r}") from None
            # Colours and cursor movements are not what is tested (one cut in two by the read stays).
            self.text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", self.text + arrived)
        seen, self.text = self.text, ""
        return seen

    def type(self, text):
        """Only at a prompt: what is typed before the line editor is ready, it throws away."""
        os.write(self.master, text.encode())

    def command(self, line, shown):
        """Types a line, waits until `shown` and the next prompt have appeared."""
        self.type(line + "\r")
        self.read_until(shown + r"[\s\S]*> $")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        self.home.cleanup()


class RedisCli(harness.ServerTestCase):
    def cli(self, *words, **options):
        return run("redis-cli", "-h", "127.0.0.1", "-p", self.server.port, *words, **options)

    def out(self, *words, **options):
        """stdout without the newline that redis-cli adds."""
        text = self.cli(*words, **options).stdout
        self.assertTrue(text.endswith(b"\n"), text)
        return text[:-1]

    def fill(self, keys):
        with self.server.connect() as connection:
            commands = (("SET", key, value) for key, value in keys.items())
            self.assertEqual({b"OK"}, set(connection.pipelined(commands)))

    # --- one command per call ---

    def test_single_commands_read_back_what_they_wrote(self):
        self.assertEqual(b"PONG", self.out("ping"))
        self.assertEqual(b"OK", self.out("set", "fruit", "apple"))
        self.assertEqual(b"apple", self.out("get", "fruit"))
        self.assertEqual(b"", self.out("get", "nothing"))
        self.assertEqual(b"(nil)", self.out("--no-raw", "get", "nothing"))
        self.assertEqual(b"10", self.out("append", "fruit", " tree"))
        self.assertEqual(b"tree", self.out("getrange", "fruit", "6", "-1"))
        self.assertEqual(b"OK", self.out("mset", "a", "1", "b", "2", "c", "3"))
        self.assertEqual(b"1\n2\n\n3", self.out("mget", "a", "b", "missing", "c"))
        self.assertEqual(b"43", self.out("incrby", "a", "42"))
        self.assertEqual(b"1.5", self.out("incrbyfloat", "new", "1.5"))
        self.assertEqual(b"(integer) 2", self.out("--no-raw", "del", "b", "c", "never"))
        self.assertEqual(b"string", self.out("type", "fruit"))
        self.assertEqual(b"3", self.out("dbsize"))

    def test_expiry_is_seen(self):
        self.assertEqual(b"OK", self.out("set", "session", "data", "EX", "100"))
        self.assertIn(int(self.out("ttl", "session")), range(90, 101))
        self.assertEqual(b"1", self.out("persist", "session"))
        self.assertEqual(b"-1", self.out("ttl", "session"))
        self.assertEqual(b"1", self.out("pexpire", "session", "1"))
        time.sleep(0.1)
        self.assertEqual(b"", self.out("get", "session"))
        self.assertEqual(b"-2", self.out("ttl", "session"))

    def test_value_from_stdin_and_raw_output_are_byte_for_byte(self):
        value = bytes(range(256)) * 300
        self.assertEqual(b"OK", self.out("-x", "set", "binary", stdin=value))
        self.assertEqual(value, self.out("--raw", "get", "binary"))
        self.assertEqual(str(len(value)).encode(), self.out("strlen", "binary"))
        self.assertEqual(b'"\\x00\\x01\\x02"', self.out("--no-raw", "getrange", "binary", "0", "2"))
        self.assertEqual(b"OK", self.out("--quoted-input", "set", '"k\\x00y"', '"v\\xff"'))
        self.assertEqual(b"v\xff", self.out("--quoted-input", "get", '"k\\x00y"'))

    def test_commands_from_stdin_and_repeated_commands(self):
        script = b"set x 1\nmulti\nincr x\nincrby x 10\nexec\nget x\n"
        self.assertEqual(b"OK\nOK\nQUEUED\nQUEUED\n2\n12\n12", self.out(stdin=script))
        self.assertEqual(b"1\n2\n3\n4\n5", self.out("-r", "5", "incr", "counter"))

    def test_other_output_formats(self):
        self.fill({"k": 'say "hi"', "n": "7"})
        self.assertEqual(b'"say ""hi"""', self.out("--csv", "get", "k").replace(b'\\"', b'""'))
        self.assertEqual(['say "hi"', "7", None], json.loads(self.out("--json", "mget", "k", "n", "-")))

    def test_errors_reach_the_user_and_the_exit_code(self):
        failed = self.cli("-e", "nosuchcommand", "arg", check=False)
        self.assertEqual(1, failed.returncode)
        self.assertIn(b"ERR unknown command 'nosuchcommand'", failed.stdout + failed.stderr)
        failed = self.cli("-e", "set", "only-a-key", check=False)
        self.assertEqual(1, failed.returncode)
        self.assertIn(b"ERR wrong number of arguments for 'set' command", failed.stdout + failed.stderr)
        self.fill({"word": "abc"})
        failed = self.cli("-e", "incr", "word", check=False)
        self.assertEqual(1, failed.returncode)
        self.assertIn(b"ERR value is not an integer or out of range", failed.stdout + failed.stderr)
        self.assertEqual(b"abc", self.out("get", "word"))
        refused = run("redis-cli", "-p", harness.free_port(), "ping", check=False)
        self.assertEqual(1, refused.returncode)
        self.assertIn(b"Connection refused", refused.stderr)

    # --- RESP3 ---

    def test_resp3_has_maps_and_nulls(self):
        self.assertEqual(b"OK", self.out("-3", "set", "k", "v"))
        self.assertEqual(b"v", self.out("-3", "get", "k"))
        self.assertEqual(b"(nil)", self.out("-3", "--no-raw", "get", "missing"))
        shown = self.out("-3", "--no-raw", "config", "get", "appendonly")
        self.assertEqual(b'1# "appendonly" => "yes"', shown)
        shown = self.out("-3", "--no-raw", "hello")
        self.assertRegex(shown, rb'# "proto" => \(integer\) 3\n')
        self.assertRegex(shown, rb'# "role" => "master"')
        self.assertIn(b"redis_version:", self.out("-3", "info", "server"))

    def test_databases_and_names(self):
        self.assertEqual(b"OK\nme", self.out(stdin=b"client setname me\nclient getname\n"))
        listed = self.out("client", "list")
        self.assertRegex(listed, rb"id=\d+ addr=127\.0\.0\.1:\d+ ")
        self.assertRegex(self.out("config", "get", "databases"), rb"^databases\n\d+$")

    # --- the modes ---

    def test_scan_lists_every_key_once_and_only_what_matches(self):
        keys = {f"user:{n}": str(n) for n in range(3000)} | {f"item:{n}": str(n) for n in range(500)}
        self.fill(keys)
        listed = collections.Counter(self.out("--scan").decode().split("\n"))
        self.assertEqual(collections.Counter(keys.keys()), listed)
        matching = self.out("--scan", "--pattern", "item:*").decode().split("\n")
        self.assertEqual(sorted(k for k in keys if k.startswith("item:")), sorted(matching))

    def test_bigkeys_finds_the_biggest_value(self):
        self.fill({f"small:{n}": "x" * 10 for n in range(500)} | {"the-big-one": "y" * 54321})
        report = self.out("--bigkeys").decode()
        self.assertRegex(report, r"Sampled 501 keys in the keyspace!")
        self.assertRegex(report, r'Biggest string found .*"the-big-one".* has 54321 bytes')
        self.assertRegex(report, r"501 strings with 59321 bytes")

    def test_memkeys_finds_the_biggest_value(self):
        with self.server.connect() as connection:
            try:
                known = connection("COMMAND", "INFO", "memory")
            except ReplyError:
                known = [None]
        if known == [None]:
            self.skipTest("this server does not list the command MEMORY, which --memkeys needs")
        self.fill({f"small:{n}": "x" * 10 for n in range(500)} | {"the-big-one": "y" * 54321})
        report = self.out("--memkeys").decode()
        found = re.search(r'Biggest string found .*"the-big-one".* has (\d+) bytes', report)
        self.assertTrue(found, report)
        self.assertGreaterEqual(int(found[1]), 54321)

    def test_stat_prints_a_line_per_interval(self):
        self.fill({f"key:{n}": "v" for n in range(42)})
        process = harness.spawn(["redis-cli", "-p", self.server.port, "--stat", "-i", "0.1"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            lines, text = [], b""
            deadline = time.monotonic() + harness.patience(15)
            while len(lines) < 4 and time.monotonic() < deadline:
                if select.select([process.stdout], [], [], 0.2)[0]:
                    chunk = os.read(process.stdout.fileno(), 4096)
                    self.assertTrue(chunk, f"--stat ended by itself: {text!r}")
                    text += chunk
                lines = [line for line in text.decode().split("\n")[:-1] if re.match(r"\s*\d", line)]
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        self.assertGreaterEqual(len(lines), 4, text)
        for line in lines[:4]:  # keys, memory, clients, blocked, requests (+n), connections
            self.assertRegex(line, r"^42\s+\d[\d.]*[BKMG]\s+\d+\s+0\s+\d+ \(\+\d+\)\s+\d+\s*$")
        requests = [int(re.search(r"(\d+) \(\+", line)[1]) for line in lines]
        self.assertEqual(sorted(requests), requests)
        self.assertGreater(requests[-1], requests[0])

    def streamed(self, *words):
        """redis-cli in a mode that goes on for ever; ended with the test."""
        process = harness.spawn(["redis-cli", "-p", self.server.port, *words], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process.stdout

    def read_streamed(self, stream, pattern):
        deadline = time.monotonic() + harness.patience(10)
        text = b""
        while not re.search(pattern, text):
            if not select.select([stream], [], [], max(0, deadline - time.monotonic()))[0]:
                self.fail(f"waited for {pattern}, arrived: {text!r}")
            chunk = os.read(stream.fileno(), 4096)
            self.assertTrue(chunk, f"ended by itself: {text!r}")
            text += chunk
        return text

    def test_monitor_shows_what_others_do(self):
        stream = self.streamed("monitor")
        self.read_streamed(stream, rb"^OK\n")
        self.assertEqual(b"OK", self.out("-n", "2", "set", "watched", 'a "b"'))
        shown = self.read_streamed(stream, rb"watched.*\n")
        self.assertRegex(shown, rb'(?m)^\d+\.\d{6} \[2 127\.0\.0\.1:\d+\] "set" "watched" "a \\"b\\""$')

    def test_subscribers_see_messages_in_both_protocols(self):
        for protocol in ("-2", "-3"):
            stream = self.streamed(protocol, "psubscribe", "news.*")
            self.read_streamed(stream, rb"psubscribe\nnews\.\*\n1\n")
            self.assertEqual(b"1", self.out("publish", "news.one", "hello"))
            self.read_streamed(stream, rb"pmessage\nnews\.\*\nnews\.one\nhello\n")
            self.assertEqual(b"0", self.out("publish", "other", "hello"))
            self.doCleanups()

    def test_modes_for_what_is_not_there_say_so(self):
        self.fill({"key": "value"})
        for words, problem in ((["--hotkeys"], b"An LFU maxmemory policy is not selected"),
                               (["debug", "sleep", "0"], b"DEBUG command not allowed"),
                               (["cluster", "nodes"], b"ERR "), (["nosuch"], b"ERR unknown command")):
            done = self.cli(*words, check=False)
            self.assertIn(problem, done.stdout + done.stderr)
        self.assertEqual(b"PONG", self.out("ping"))

    def test_latency_reports_milliseconds(self):
        minimum, maximum, average, samples = self.out("--latency", "-i", "0.5").split()
        self.assertLessEqual(float(minimum), float(average))
        self.assertLessEqual(float(average), float(maximum))
        self.assertGreater(int(samples), 5)

    def test_pipe_loads_a_generated_file(self):
        count = 20000
        stream = b"".join(pack("SET", f"pipe:{n}", b"%d\r\n\0" % n * 10) for n in range(count))
        report = self.cli("--pipe", stdin=stream, seconds=60).stdout
        self.assertIn(b"errors: 0, replies: %d" % count, report)
        with self.server.connect() as connection:
            self.assertEqual(count, connection("DBSIZE"))
            replies = connection.pipelined(("GET", f"pipe:{n}") for n in range(count))
            for n, value in enumerate(replies):
                self.assertEqual(b"%d\r\n\0" % n * 10, value)

    def test_pipe_counts_the_errors_of_a_bad_file(self):
        stream = b"".join([pack("SET", "good", "1"), pack("SET", "bad"), pack("INCR", "good")])
        done = self.cli("--pipe", stdin=stream, check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn(b"errors: 1, replies: 3", done.stdout)
        self.assertEqual(b"2", self.out("get", "good"))

    # --- a person at a terminal ---

    def test_interactive_session_with_hints_and_help(self):
        with self.server.connect() as connection:
            docs = connection("COMMAND", "DOCS", "set")
            self.assertEqual(b"set", docs[0])
            fields = dict(zip(docs[1][::2], docs[1][1::2]))
            self.assertIn(b"summary", fields)
            self.assertIn(b"arguments", fields)
        prompt = rf"127\.0\.0\.1:{self.server.port}> "
        terminal = Terminal(["redis-cli", "-h", "127.0.0.1", "-p", self.server.port])
        try:
            terminal.read_until(prompt + "$")
            terminal.type("set greeting ")
            # The hint is what COMMAND DOCS says of the arguments still to come.
            terminal.read_until(r"set greeting value")
            terminal.command('"hello world"', r"\nOK\r?\n")
            terminal.command("get greeting", r'\n"hello world"\r?\n')
            terminal.command("get missing", r"\n\(nil\)\r?\n")
            terminal.command("incr greeting", r"\(error\) ERR value is not an integer or out of range")
            terminal.command("help get", r"GET key\s+summary: .*\s+since: ")
            terminal.command("multi", r"\nOK\r?\n.*\(TX\)")
            terminal.command("incr visits", r"\nQUEUED\r?\n")
            terminal.command("exec", r"\n1\) \(integer\) 1\r?\n")
            terminal.command("hello 3", r'# "proto" => \(integer\) 3')
            terminal.command("config get appendonly", r'1# "appendonly" => "yes"')
            terminal.type("quit\r")
            self.assertEqual(0, terminal.process.wait(timeout=harness.patience(10)))
        finally:
            terminal.close()
        self.assertEqual(b"hello world", self.out("get", "greeting"))
        self.assertEqual(b"1", self.out("get", "visits"))

    def test_interactive_session_survives_a_restart_of_the_server(self):
        terminal = Terminal(["redis-cli", "-h", "127.0.0.1", "-p", self.server.port])
        try:
            prompt = rf"127\.0\.0\.1:{self.server.port}> "
            terminal.read_until(prompt + "$")
            terminal.command("set durable yes", r"\nOK\r?\n")
            self.server.restart_after_kill()
            # The first command notices that the connection is gone, the next one connects again.
            terminal.command("get durable", r"\nError: Server closed the connection\r?\nnot connected")
            terminal.command("get durable", r'\n"yes"\r?\n')
        finally:
            terminal.close()


if __name__ == "__main__":
    harness.need_programs("redis-cli")
    harness.main(seconds=100)
