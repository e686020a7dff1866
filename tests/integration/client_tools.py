#!/usr/bin/python3
"""client_tools.py - what kvs-client does for people beside contract.md's set, get and rm.

Everything goes through the program itself and a real server: exit codes, import and export in all
formats with binary data and deadlines, a server that dies in the middle, the prompt at a
pseudo-terminal, the completion scripts, the man page. The contract's own table is in
programs_test.cc; parsers are in unit/cli. See clients/harness.py for the environment.
"""

import base64
import csv
import json
import os
import pathlib
import pty
import random
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "clients"))

import harness  # noqa: E402

CLIENT = harness.program("kvs-client")
MANY_KEYS = 10_000 if harness.is_slow() else 100_000

DONE, NO_SUCH_KEY, USAGE, CONNECTION, ERROR_REPLY, TIMEOUT, INPUT, FILE = range(8)


def silent_listener():
    """A socket that accepts (the kernel does) and never says anything."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def list_of(connection, commands):
    return list(connection.pipelined(commands))


class Tools(harness.ServerTestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kvs-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.run_client("command", "FLUSHALL")

    def environment(self, **more):
        cleared = {name: value for name, value in os.environ.items()
                   if name not in ("KVS_PASSWORD", "NO_COLOR", "XDG_STATE_HOME")}
        return {**cleared, **more}

    def client(self, *words, stdin=b"", port=None, **environment):
        """kvs-client with --addr behind the subcommand's words, where the contract has it."""
        address = f"127.0.0.1:{port or self.server.port}"
        return harness.run(CLIENT, *words[:1], "--addr", address, *words[1:], stdin=stdin,
                           check=False, seconds=60, environment=self.environment(**environment))

    def run_client(self, *words, **options):
        """Its stdout, when it ends with 0 and says nothing else."""
        done = self.client(*words, **options)
        self.assertEqual((DONE, b""), (done.returncode, done.stderr), words)
        return done.stdout

    def refused(self, code, *words, text=b"", **options):
        done = self.client(*words, **options)
        self.assertEqual(code, done.returncode, (words, done.stderr))
        self.assertIn(text, done.stderr)
        self.assertNotEqual(b"", done.stderr)
        return done

    # --- exit codes -------------------------------------------------------------------------------

    def test_each_kind_of_failure_has_its_exit_code(self):
        self.refused(NO_SUCH_KEY, "rm", "none", text=b"Key not found")
        self.refused(NO_SUCH_KEY, "set", "none", "v", "--if-present", text=b"Not stored")
        self.refused(NO_SUCH_KEY, "get", "none", "--raw")
        self.refused(USAGE, "scan", "--nonsense")
        self.refused(USAGE, "set", "k")
        self.refused(USAGE, "set", "k", "v", "--stdin")
        self.refused(USAGE, "get", "k", "--json", "--raw")
        self.refused(USAGE, "get", "k", "--user", "u")
        self.refused(USAGE, "command", "SUBSCRIBE", "c", text=b"SUBSCRIBE")
        self.refused(USAGE, "command", "HELLO", "3", text=b"RESP2")
        port = harness.free_port()
        for words in (["command", "PING"], ["scan"], ["export", "-"], ["import", "/dev/null"],
                      ["bench"], ["watch", "--once"], ["repl"]):
            self.refused(CONNECTION, *words, port=port, text=str(port).encode())
        self.refused(ERROR_REPLY, "command", "NOSUCH", text=b"unknown command")
        self.refused(ERROR_REPLY, "get", "k", "--password", "wrong", text=b"without any password")
        self.refused(FILE, "import", str(self.folder / "none"), text=b"none")
        self.refused(FILE, "set", "k", "--file", str(self.folder / "none"), text=b"none")
        self.refused(FILE, "export", str(self.folder / "none" / "file"), text=b"none")
        self.run_client("set", "k", "v")
        self.refused(FILE, "get", "k", "--output", "/nowhere/file")
        with silent_listener() as silent:
            self.refused(TIMEOUT, "get", "k", "--timeout", "0.2", port=silent.getsockname()[1])

    def test_output_that_cannot_be_written_is_an_error(self):
        self.run_client("set", "k", "v")
        for words in (["get", "k"], ["scan"], ["command", "GET", "k"], ["export", "-"]):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([CLIENT, *words, "--addr", f"127.0.0.1:{self.server.port}"],
                                      stdout=full, stderr=subprocess.PIPE, timeout=30, check=False)
            self.assertEqual(FILE, done.returncode, words)

    def test_a_password_comes_from_the_environment_or_the_command_line_and_is_not_shown(self):
        with harness.Server() as server:
            with harness.Resp(server.port) as connection:
                connection("CONFIG", "SET", "requirepass", "geheim")
            self.refused(ERROR_REPLY, "get", "k", port=server.port, text=b"NOAUTH")
            self.run_client("set", "k", "v", port=server.port, KVS_PASSWORD="geheim")
            self.run_client("get", "k", "--password", "geheim", port=server.port)
            done = self.refused(ERROR_REPLY, "get", "k", "--password", "falsch", port=server.port)
            self.assertNotIn(b"falsch", done.stderr)
            process = harness.spawn([CLIENT, "watch", "--password", "geheim", "--addr",
                                     f"127.0.0.1:{server.port}"], stdout=subprocess.PIPE)
            try:
                process.stdout.readline()
                shown = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
                self.assertIn(b"******", shown)
                self.assertNotIn(b"geheim", shown)
            finally:
                process.kill()
                process.communicate()

    def test_db_chooses_the_database(self):
        self.run_client("set", "k", "three", "--db", "3")
        self.assertEqual(b"Key not found\n", self.run_client("get", "k"))
        self.assertEqual(b"three\n", self.run_client("get", "k", "--db", "3"))

    def test_wait_waits_until_the_server_is_there_and_no_longer_than_said(self):
        port = harness.free_port()
        begin = time.monotonic()
        self.refused(TIMEOUT, "command", "--wait=0.5", "PING", port=port, text=b"not ready")
        self.assertLess(time.monotonic() - begin, harness.patience(10))
        with harness.Server() as late:
            late.stop()
            waiting = harness.spawn([CLIENT, "command", "--wait=50", "PING", "--addr",
                                     f"127.0.0.1:{late.port}"], stdout=subprocess.PIPE)
            time.sleep(0.5)
            self.assertIsNone(waiting.poll())
            late.start()
            self.assertEqual(b"PONG\n", waiting.communicate(timeout=harness.patience(30))[0])
            self.assertEqual(DONE, waiting.returncode)

    # --- set, get, command, scan ------------------------------------------------------------------

    def test_values_come_from_stdin_and_files_and_go_into_files(self):
        value = bytes(range(256)) * 100
        self.run_client("set", "k", "--stdin", stdin=value)
        self.assertEqual(value + b"\n", self.run_client("get", "k"))
        self.assertEqual(value, self.run_client("get", "k", "--raw"))
        source, target = self.folder / "source", self.folder / "target"
        source.write_bytes(value[::-1])
        self.run_client("set", "k", "--file", source)
        self.run_client("get", "k", "--output", target)
        self.assertEqual(value[::-1], target.read_bytes())
        self.refused(NO_SUCH_KEY, "get", "none", "--output", self.folder / "never")
        self.assertEqual({"source", "target"}, {path.name for path in self.folder.iterdir()})
        self.run_client("set", "k", "-")  # the contract's VALUE, not a file
        self.assertEqual(b"-\n", self.run_client("get", "k"))

    def test_set_knows_times_and_conditions(self):
        self.run_client("set", "k", "v", "--ttl", "100.5")
        self.assertIn(int(self.run_client("command", "PTTL", "k")), range(50_000, 100_501))
        self.run_client("set", "k", "w", "--keep-ttl", "--if-present")
        self.assertGreater(int(self.run_client("command", "PTTL", "k")), 0)
        self.refused(NO_SUCH_KEY, "set", "k", "x", "--if-absent")
        self.run_client("set", "k", "y")
        self.assertEqual(b"-1\n", self.run_client("command", "PTTL", "k"))

    def test_json_is_json_whatever_the_bytes(self):
        odd = b"\xff\x00\n\"\\"
        self.run_client("set", "k", "--stdin", stdin=odd)
        self.run_client("set", "text", "gr\u00fc\u00df \u2028 \"q\"")
        self.run_client("command", "MSET", "n", "5")
        wrapped = {"base64": base64.b64encode(odd).decode()}
        answers = [
            (["get", "k"], {"key": "k", "value": wrapped}),
            (["get", "text"], {"key": "text", "value": "gr\u00fc\u00df \u2028 \"q\""}),
            (["get", "none"], {"key": "none", "value": None}),
            (["set", "x", "1"], {"stored": True}),
            (["rm", "x"], {"removed": True}),
            (["command", "MGET", "n", "none", "k"], ["5", None, wrapped]),
            (["command", "INCR", "n"], 6),
            (["command", "PING"], "PONG"),
            (["scan", "--count"], {"count": 3}),
        ]
        for words, answer in answers:
            self.assertEqual(answer, json.loads(self.run_client(*words, "--json")), words)
        self.assertEqual({"removed": False}, json.loads(self.client("rm", "x", "--json").stdout))
        for line in self.run_client("scan", "--with-values", "--type", "--json").splitlines():
            self.assertEqual({"key", "type", "value"}, set(json.loads(line)))

    def test_command_takes_words_as_they_are(self):
        self.assertEqual(b"-7\n", self.run_client("command", "INCRBY", "n", "-7"))
        self.assertEqual(b"OK\n", self.run_client("command", "SET", "[a,b]", "-x"))
        self.assertEqual(b"-x\n", self.run_client("command", "GET", "[a,b]"))
        self.assertEqual(b"OK\n", self.run_client("command", "--", "SET", "--odd", "--words"))
        self.assertEqual(b"--words\n", self.run_client("command", "GET", "--", "--odd"))
        self.refused(USAGE, "command", "GET", "--odd")
        self.assertEqual(b"OK\n", self.run_client("command", "-x", "SET", "k", stdin=b"in\0put"))
        self.assertEqual(b"in\0put\n", self.run_client("command", "GET", "k"))
        self.assertEqual(b'1) "in\\x00put"\n2) (nil)\n',
                         self.run_client("command", "--human", "MGET", "k", "none"))
        self.assertIn(b"\nkvs_version:", self.run_client("command", "--human", "INFO"))

    def test_a_reply_of_many_levels_is_read(self):
        docs = json.loads(self.run_client("command", "COMMAND", "DOCS", "--json"))
        self.assertIn("client", docs)

    def test_colours_are_for_terminals(self):
        coloured = ["command", "GET", "none", "--human"]
        self.assertEqual(b"(nil)\n", self.run_client(*coloured))
        self.assertIn(b"\x1b[", self.run_client(*coloured, "--color", "always"))
        self.assertEqual(b"(nil)\n", self.run_client(*coloured, "--no-color"))

    def test_scan_lists_counts_and_matches(self):
        for number in range(30):
            self.run_client("set", f"key:{number}", f"value {number}")
        self.run_client("set", "other", "x")
        keys = self.run_client("scan", "key:*", "--page", "3").split()
        self.assertEqual(sorted(f"key:{number}".encode() for number in range(30)), sorted(keys))
        self.assertEqual(b"31\n", self.run_client("scan", "--count"))
        self.assertEqual(b"10\n", self.run_client("scan", "key:?", "--count"))
        self.assertEqual(b"other\tstring\tx\n",
                         self.run_client("scan", "o*", "--type", "--with-values"))
        self.assertEqual(b"0\n", self.run_client("scan", "--only-type", "list", "--count"))

    # --- import and export ------------------------------------------------------------------------

    def fill(self, keys):
        """Text and binary keys, empty ones, large ones, a third of them with a deadline."""
        random_source = random.Random(int(os.environ.get("KVS_SEED", "20261124")))
        expected = {}
        with harness.Resp(self.server.port) as connection:
            batch = []
            for number in range(keys):
                key = f"key:{number}".encode()
                value = f"value {number}, \"quoted\"\r\n".encode()
                if number % 7 == 0:
                    key += bytes(random_source.randrange(256) for _ in range(5))
                    value = bytes(random_source.randrange(256) for _ in range(40))
                if number == 11:
                    value = random_source.randbytes(6_000_000)  # larger than a batch
                if number == 12:
                    key, value = b"", b""
                deadline = None
                words = ["SET", key, value]
                if number % 3 == 0:
                    deadline = int(time.time() * 1000) + 10_000_000 + number
                    words += ["PXAT", str(deadline)]
                expected[key] = (value, deadline)
                batch.append(words)
                if len(batch) == 1000 or number + 1 == keys:
                    list_of(connection, batch)
                    batch = []
        return expected

    def stored(self):
        with harness.Resp(self.server.port) as connection:
            keys, cursor = [], b"0"
            while True:
                cursor, page = connection("SCAN", cursor, "COUNT", 1000)
                keys += page
                if cursor == b"0":
                    break
            found = {}
            for begin in range(0, len(keys), 1000):
                part = keys[begin:begin + 1000]
                values = list_of(connection, [["GET", key] for key in part])
                deadlines = list_of(connection, [["PEXPIRETIME", key] for key in part])
                for key, value, deadline in zip(part, values, deadlines):
                    found[key] = (value, deadline if deadline >= 0 else None)
            return found

    def test_what_is_exported_comes_back_in_every_format(self):
        expected = self.fill(MANY_KEYS)
        self.assertTrue(expected == self.stored())
        for name in ("dump.jsonl", "dump.csv", "dump.resp"):
            file = self.folder / name
            done = self.client("export", file)
            self.assertEqual(DONE, done.returncode, done.stderr)
            self.assertIn(f"exported {MANY_KEYS:,} keys".encode(), done.stderr)
            self.run_client("command", "FLUSHALL")
            done = self.client("import", file, "--json")
            self.assertEqual(DONE, done.returncode, done.stderr)
            summary = json.loads(done.stdout)
            self.assertEqual((MANY_KEYS, 0, 0, file.stat().st_size, True),
                             (summary["imported"], summary["bad"], summary["refused"],
                              summary["bytes"], summary["complete"]))
            found = self.stored()
            self.assertTrue(expected == found, name)  # assertEqual would print all of them
        # Other programs read the files, too.
        with open(self.folder / "dump.csv", newline="", encoding="utf-8") as file:
            csv.field_size_limit(1 << 30)
            rows = list(csv.DictReader(file))
        self.assertEqual(MANY_KEYS, len(rows))
        for row in random.sample(rows, 200):
            decode = base64.b64decode if row["encoding"] else str.encode
            value, deadline = expected[decode(row["key"])]
            self.assertEqual(value, decode(row["value"]))
            self.assertEqual(str(deadline or ""), row["expires_at_ms"])
        with open(self.folder / "dump.jsonl", encoding="utf-8") as file:
            self.assertEqual(MANY_KEYS, sum(1 for line in file if json.loads(line)["key"] != 0))

    def test_a_resp_file_is_what_redis_cli_pipe_takes(self):
        if not shutil.which("redis-cli"):
            self.skipTest("redis-cli is not installed")
        expected = self.fill(500)
        file = self.folder / "dump.resp"
        self.client("export", file)
        self.run_client("command", "FLUSHALL")
        done = harness.run("redis-cli", "-p", self.server.port, "--pipe", stdin=file.read_bytes())
        self.assertIn(b"errors: 0, replies: 500", done.stdout)
        self.assertEqual(expected, self.stored())

    def test_export_leaves_out_what_vanishes_and_what_does_not_match(self):
        self.fill(200)
        out = self.client("export", "-", "--match", "key:1*").stdout
        keys = [json.loads(line)["key"] for line in out.splitlines()]
        self.assertTrue(all(isinstance(key, dict) or key.startswith("key:1") for key in keys))
        stop = threading.Event()

        def churn():
            with harness.Resp(self.server.port) as connection:
                while not stop.is_set():
                    list_of(connection, [["SET", f"churn:{n}", "x"] for n in range(200)])
                    list_of(connection, [["DEL", f"churn:{n}"] for n in range(200)])

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for _ in range(10):
                done = self.client("export", "-")
                self.assertEqual(DONE, done.returncode, done.stderr)
                records = [json.loads(line) for line in done.stdout.splitlines()]
                steady = [r for r in records if not str(r["key"]).startswith("churn:")]
                self.assertEqual(200, len(steady))
                self.assertTrue(all(r["value"] is not None for r in records))
        finally:
            stop.set()
            thread.join()

    def test_an_export_that_fails_leaves_the_old_file(self):
        file = self.folder / "dump.jsonl"
        file.write_text("old")
        with silent_listener() as silent:
            done = self.client("export", file, "--timeout", "0.3", port=silent.getsockname()[1])
        self.assertEqual(TIMEOUT, done.returncode)
        self.assertEqual(("old", 1), (file.read_text(), len(list(self.folder.iterdir()))))

    def test_import_names_the_line_of_what_is_bad_and_stops_or_skips(self):
        lines = b'{"key":"a","value":"1"}\nnonsense\n{"key":"b","value":"2"}\n{"key":3}\n'
        done = self.client("import", "-", stdin=lines)
        self.assertEqual(INPUT, done.returncode)
        self.assertIn(b"line 2: not JSON", done.stderr)
        self.assertEqual({b"a": (b"1", None)}, self.stored())
        done = self.client("import", "-", "--on-error", "skip", "--json", stdin=lines)
        self.assertEqual(INPUT, done.returncode)
        self.assertIn(b"line 2: not JSON", done.stderr)
        self.assertIn(b"line 4: ", done.stderr)
        self.assertEqual((2, 2), tuple(json.loads(done.stdout)[n] for n in ("imported", "bad")))
        self.assertEqual({b"a", b"b"}, set(self.stored()))
        done = self.client("import", "-", "--format", "csv", stdin=b'key,value\nc,"3\n')
        self.assertEqual(INPUT, done.returncode)
        self.assertIn(b"line 2: ", done.stderr)

    def test_import_says_which_command_the_server_refused(self):
        commands = b"SET a 1\r\nNOSUCH x\r\nSET b 2\r\nSUBSCRIBE c\r\n"
        done = self.client("import", "-", "--format", "resp", stdin=commands)
        self.assertIn(done.returncode, (ERROR_REPLY, INPUT))
        done = self.client("import", "-", "--format", "resp", "--on-error", "skip",
                           stdin=commands)
        self.assertIn(b"command 2: ERR unknown command", done.stderr)
        self.assertIn(b"command 4: SUBSCRIBE", done.stderr)
        self.assertEqual({b"a", b"b"}, set(self.stored()))

    def test_a_server_killed_during_import_ends_it_and_the_message_says_how_far_it_came(self):
        with harness.Server() as server:
            process = harness.spawn([CLIENT, "import", "-", "--addr", f"127.0.0.1:{server.port}"],
                                    stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            line = b'{"key":"%d","value":"' + b"v" * 200 + b'"}\n'
            sent = 0
            for _ in range(20):
                process.stdin.write(b"".join(line % (sent + n) for n in range(1000)))
                sent += 1000
            process.stdin.flush()
            time.sleep(0.5)
            server.kill()
            try:
                for _ in range(100):
                    process.stdin.write(b"".join(line % (sent + n) for n in range(1000)))
                    sent += 1000
            except BrokenPipeError:
                pass
            _, error = process.communicate(timeout=harness.patience(30))
            self.assertEqual(CONNECTION, process.returncode, error)
            self.assertIn(b"acknowledged up to line ", error)
            acknowledged = int(error.split(b"acknowledged up to line ")[1].split(b",")[0])
            self.assertIn(acknowledged, range(1, sent + 1))
            server.start()
            with harness.Resp(server.port) as connection:
                replies = list_of(connection, [["EXISTS", n] for n in range(acknowledged)])
                self.assertEqual(acknowledged, sum(replies))

    def test_progress_is_shown_on_a_terminal_only(self):
        file = self.folder / "dump.jsonl"
        value = "v" * 1000
        file.write_text("".join(f'{{"key":"{n}","value":"{value}"}}\n' for n in range(20_000)))
        self.assertNotIn(b"\r", self.client("import", file).stderr)
        with Terminal(["import", str(file)], self.server.port, self.folder) as terminal:
            shown = terminal.read_until(b"imported 20,000")
        self.assertIn(b"import [", shown)
        self.assertIn(b"/s, ", shown)

    # --- bench and watch --------------------------------------------------------------------------

    def test_bench_measures_and_its_seed_repeats_it(self):
        words = ["bench", "mixed", "--requests", "3000", "--clients", "5", "--pipeline", "4",
                 "--keys", "100", "--value-size", "10", "--seed", "7", "--json"]
        first = json.loads(self.run_client(*words))
        self.assertEqual((3000, 0, 0),
                         (first["requests"], first["misses"], first["error_replies"]))
        self.assertGreater(first["requests_per_second"], 0)
        latency = first["latency_ms"]
        ordered = [latency[name] for name in ("p50", "p90", "p99", "p99.9", "max")]
        self.assertEqual(sorted(ordered), ordered)
        self.assertGreater(ordered[0], 0)
        self.assertEqual(b"100\n", self.run_client("scan", "bench:*", "--count"))
        self.assertEqual(10, len(self.run_client("get", "bench:000000000042", "--raw")))
        text = self.run_client("bench", "set", "--duration", "0.2", "--keys", "10").decode()
        for part in ("/s", "p50", "p99.9", "max"):
            self.assertIn(part, text)

    def test_watch_shows_what_happens(self):
        with harness.Resp(self.server.port) as connection:
            stop = threading.Event()

            def work():
                while not stop.is_set():
                    list_of(connection, [["GET", "none"]] * 50 + [["SET", "k", "v"]] * 50)

            thread = threading.Thread(target=work)
            thread.start()
            try:
                sample = json.loads(self.run_client("watch", "--once", "--interval", "0.5",
                                                    "--json"))
            finally:
                stop.set()
                thread.join()
        self.assertGreater(sample["ops_per_second"], 100)
        self.assertEqual((1, 0), (sample["keys"], sample["hit_rate"]))
        lines = self.run_client("watch", "--once", "--interval", "0.1").splitlines()
        self.assertEqual(2, len(lines))
        self.assertEqual(len(lines[0].split()), 12)

    # --- the prompt -------------------------------------------------------------------------------

    def test_a_script_is_run_line_by_line_and_its_first_failure_counts(self):
        script = b'set k "a b\\x21"\n\nget k\nSELECT 2\nget k\n'
        self.assertEqual(b"OK\na b!\nOK\n\n", self.run_client("repl", stdin=script))
        done = self.client("repl", stdin=b"nosuch\nget k\n'open\nexit\nset k never\n")
        self.assertEqual((ERROR_REPLY, b"a b!\n"), (done.returncode, done.stdout))
        self.assertEqual(b"a b!\n", self.run_client("get", "k"))
        self.assertIn(b"SET key value", self.run_client("repl", stdin=b"help set\n"))

    def test_without_a_subcommand_it_stays_a_usage_error_at_a_terminal_too(self):
        with Terminal([], self.server.port, self.folder) as terminal:
            self.assertIn(b"subcommand", terminal.read_until(b"help"))
            self.assertEqual(USAGE, terminal.wait())

    def test_the_prompt_completes_hints_and_ends_with_ctrl_d(self):
        with Terminal(["repl"], self.server.port, self.folder) as terminal:
            terminal.read_until(b"> ")
            if not self.has_libedit():
                self.skipTest("built without libedit")
            terminal.write(b"pexpiret\t")
            terminal.read_until(b"ime")  # the name
            terminal.read_until(b"key")  # the hint
            terminal.write(b"none\n")
            terminal.read_until(b"(integer) -2")
            terminal.read_until(b"> ")
            terminal.write(b"config g\t")
            terminal.read_until(b"parameter")
            terminal.write(b"maxmemory\n")
            terminal.read_until(b'1) "maxmemory"')
            terminal.read_until(b"> ")
            terminal.write(b"help getr\t\n")
            terminal.read_until(b"GETRANGE key start end")
            terminal.read_until(b"> ")
            terminal.write(b"nosuch\n")
            terminal.read_until(b"(error) ERR unknown command")
            terminal.read_until(b"> ")
            terminal.write(b"select 2\n")
            terminal.read_until(b"[2]> ")
            terminal.write(b"set typed but not sent\x03")
            terminal.read_until(b"[2]> ")
            terminal.write(b"auth secret-word\n")
            terminal.read_until(b"ERR AUTH")
            terminal.read_until(b"> ")
            terminal.write(b"\x10\x10\n")  # two lines back: not the AUTH, which is not kept
            terminal.read_until(b"ERR unknown command")
            terminal.read_until(b"> ")
            terminal.write(b"\x04")
            self.assertEqual(DONE, terminal.wait())
        history = self.folder / "state" / "kvs" / "history"
        self.assertEqual(0o600, stat.S_IMODE(history.stat().st_mode))
        kept = history.read_text()
        self.assertIn("config get maxmemory\n", kept)
        self.assertNotIn("secret-word", kept)
        self.assertNotIn("not sent", kept)
        with Terminal(["repl"], self.server.port, self.folder) as terminal:
            terminal.read_until(b"> ")
            terminal.write(b"\x10")
            terminal.read_until(b"nosuch")  # from the last time
            terminal.write(b"\x03")
            terminal.read_until(b"> ")
            terminal.write(b"quit\n")
            self.assertEqual(DONE, terminal.wait())

    def test_the_prompt_outlives_its_server_and_keeps_the_database(self):
        with harness.Server() as server:
            with Terminal(["repl"], server.port, self.folder) as terminal:
                terminal.read_until(b"> ")
                terminal.write(b"select 5\n")
                terminal.read_until(b"[5]> ")
                server.kill()
                terminal.write(b"ping\n")
                terminal.read_until(b"not connected")
                server.start()
                terminal.write(b"set k here\n")
                terminal.read_until(b"OK")
                terminal.read_until(b"[5]> ")
                terminal.write(b"\x04")
                self.assertEqual(DONE, terminal.wait())
            self.assertEqual(b"here\n", self.run_client("get", "k", "--db", "5", port=server.port))

    def test_a_ctrl_d_typed_before_the_prompt_is_there_ends_it_too(self):
        if not self.has_libedit():
            self.skipTest("built without libedit")
        with Terminal(["repl"], self.server.port, self.folder) as terminal:
            terminal.write(b"\x04")  # the terminal is still in line mode
            self.assertEqual(DONE, terminal.wait())
        with Terminal(["repl"], self.server.port, self.folder) as terminal:
            terminal.read_until(b"> ")
            terminal.write(b"\0")  # what raw mode makes of one that came in line mode
            self.assertEqual(DONE, terminal.wait())

    def has_libedit(self):
        return b"libedit" in harness.run("ldd", CLIENT).stdout

    # --- what is installed beside the program -----------------------------------------------------

    def options_of_subcommands(self):
        """Subcommand -> its options with two dashes, as --help has them."""
        helps = {}
        top = harness.run(CLIENT, "--help").stdout.decode()
        names = [line.split()[0].split(",")[0] for line in top.split("Subcommands:")[1].split(
            "\n\n")[0].splitlines() if line.startswith("  ") and line[2] != " "]
        self.assertIn("export", names)
        for name in names:
            text = harness.run(CLIENT, name, "--help").stdout.decode()
            helps[name] = {word.split("=")[0].rstrip(",") for line in text.splitlines()
                           for word in line.split()[:1] if word.startswith("--")}
        return helps

    def test_completion_scripts_are_right_and_know_every_subcommand_and_option(self):
        helps = self.options_of_subcommands()
        every = set().union(*helps.values(), {"--help", "--version"})
        for shell in ("bash", "zsh", "fish"):
            suffix = {"bash": "kvs-client", "zsh": "_kvs-client", "fish": "kvs-client.fish"}[shell]
            path = harness.SOURCE / "packaging" / "completions" / suffix
            text = path.read_text()
            for name, options in helps.items():
                self.assertIn(name, text, shell)
                for option in options:
                    shown = option[2:] if shell == "fish" else option
                    self.assertIn(shown, text, (shell, name))
            # And nothing that kvs-client does not have.
            pattern = r"(?<!set) -l ([a-z-]+)" if shell == "fish" else r"(?<![\w-])--([a-z][a-z-]*)"
            self.assertLessEqual({f"--{word}" for word in re.findall(pattern, text)}, every, shell)
            if shutil.which(shell):
                harness.run(shell, "-n", path)

    def test_bash_completes_subcommands_options_and_values(self):
        if not shutil.which("bash"):
            self.skipTest("bash is not installed")
        path = harness.SOURCE / "packaging" / "completions" / "kvs-client"

        def complete(*words):
            script = (f'source "{path}"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kvs_client; '
                      'printf "%s\\n" "${COMPREPLY[@]}"')
            shown = harness.run("bash", "-c", script, "bash", "kvs-client", *words).stdout.decode()
            return {line.strip() for line in shown.splitlines() if line.strip()}

        self.assertEqual({"export"}, complete("exp"))
        self.assertIn("bench", complete(""))
        self.assertEqual({"--on-error"}, complete("import", "--on"))
        self.assertEqual({"stop", "skip"}, complete("import", "file", "--on-error", ""))
        self.assertEqual({"jsonl", "csv", "resp"}, complete("export", "--format", ""))
        self.assertEqual({"set", "get", "mixed"}, complete("bench", ""))
        self.assertIn("--addr", complete("get", "--"))

    def test_the_manual_is_well_formed_and_has_every_subcommand(self):
        path = harness.SOURCE / "packaging" / "man" / "kvs-client.1"
        text = path.read_text()
        for name in ("set", "get", "rm", "command", "scan", "export", "import", "watch", "bench",
                     "repl"):
            self.assertIn(f"\\fB{name}\\fR", text)
        plain = text.replace("\\-", "-")
        for option in set().union(*self.options_of_subcommands().values()) - {"--help"}:
            self.assertIn(f"\\fB{option}\\fR", plain)
        if not shutil.which("man"):
            self.skipTest("man is not installed")
        done = harness.run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path,
                           check=False, environment=self.environment(LC_ALL="C.UTF-8", MANWIDTH="80"))
        self.assertEqual(b"", done.stderr)


class Terminal:
    """kvs-client at a pseudo-terminal of its own."""

    def __init__(self, words, port, folder):
        self.shown = b""
        address = ["--addr", f"127.0.0.1:{port}"]
        # libedit never frees the names of the functions that are added to it (el_add_func).
        suppressions = folder / "suppressions"
        suppressions.write_text("leak:wcsdup\n")
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", XDG_STATE_HOME=str(folder / "state"), HOME=str(folder))
            os.environ["LSAN_OPTIONS"] = f"suppressions={suppressions}:print_suppressions=0"
            os.environ.pop("NO_COLOR", None)
            os.execv(CLIENT, [str(CLIENT), *words, *address])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.descriptor)

    def write(self, text):
        os.write(self.descriptor, text)

    def read_until(self, wanted, seconds=20):
        """What was shown since the last call, to the end of `wanted`."""
        deadline = time.monotonic() + harness.patience(seconds)
        while wanted not in self.shown:
            left = deadline - time.monotonic()
            ready = select.select([self.descriptor], [], [], max(left, 0))[0]
            try:
                part = os.read(self.descriptor, 65536) if ready else b""
            except OSError:
                part = b""  # it has ended
            if not part:
                raise AssertionError(f"{wanted!r} was not shown, but {self.shown!r}")
            self.shown += part
        end = self.shown.index(wanted) + len(wanted)
        shown, self.shown = self.shown[:end], self.shown[end:]
        return shown

    def wait(self, seconds=20):
        deadline = time.monotonic() + harness.patience(seconds)
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                self.pid = None
                return os.waitstatus_to_exitcode(status)
            if select.select([self.descriptor], [], [], 0.05)[0]:
                try:
                    os.read(self.descriptor, 65536)
                except OSError:
                    pass
        raise AssertionError("kvs-client did not end")


if __name__ == "__main__":
    harness.main(seconds=200)
