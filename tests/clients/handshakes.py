#!/usr/bin/python3
"""handshakes.py - what clients say when they connect, word by word, and what they cannot live without.

Of these clients Debian and npm have other versions or none: go-redis, Jedis, Lettuce, redis-client (of
Ruby's newer gems), redis-py 8, `redis` 6, ioredis 6, memtier. Most send everything in one packet and read
what is answered to it afterwards, some of it in RESP2 and the rest in RESP3.
"""

import re

import harness
from harness import ReplyError, pack


class Text(str):
    """A verbatim string of RESP3."""


class Resp3(harness.Resp):
    """A connection that also reads RESP3. An error is returned, not raised: it is one reply of many."""

    def reply(self):
        kind = self.reader.peek(1)[:1]
        if kind not in b"%_=,~#>(":
            try:
                return super().reply()
            except ReplyError as error:
                return error
        line = self.reader.readline()[1:-2]
        if kind == b"_":
            return None
        if kind == b"#":
            return line == b"t"
        if kind == b",":
            return float(line)
        if kind == b"(":
            return int(line)
        if kind == b"%":
            return {self.reply(): self.reply() for _ in range(int(line))}
        if kind in b"~>":
            return [self.reply() for _ in range(int(line))]
        return Text(self.reader.read(int(line) + 2)[4:-2].decode())

    def in_one_packet(self, *commands):
        self.socket.sendall(b"".join(pack(*command.split()) for command in commands))
        return [self.reply() for _ in commands]


class Handshakes(harness.ServerTestCase):
    def connect(self):
        connection = Resp3(self.server.port, harness.patience(20))
        self.addCleanup(connection.close)
        return connection

    def is_hello(self, reply, protocol):
        if protocol == 2:
            reply = dict(zip(reply[::2], reply[1::2]))
        self.assertEqual({b"server", b"version", b"proto", b"id", b"mode", b"role", b"modules"}, set(reply))
        self.assertEqual(b"redis", reply[b"server"])
        self.assertEqual(protocol, reply[b"proto"])
        self.assertIsInstance(reply[b"id"], int)
        self.assertRegex(reply[b"version"], rb"^7\.\d+\.\d+$")
        self.assertEqual((b"standalone", b"master"), (reply[b"mode"], reply[b"role"]))

    def are_ok(self, replies):
        if self.server.is_redis:  # before 7.2 it has no CLIENT SETINFO
            replies = [reply for reply in replies if not re.search("'SETINFO'", str(reply))]
        self.assertEqual([b"OK"] * len(replies), replies)

    # --- clients ---

    def test_redis_py_8(self):
        hello, notices, *rest = self.connect().in_one_packet(
            "HELLO 3", "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type internal-ip", "CLIENT SETNAME me",
            "CLIENT SETINFO LIB-NAME redis-py", "CLIENT SETINFO LIB-VER 8.0.0", "SELECT 3", "GET nothing")
        self.is_hello(hello, 3)
        self.assertIsInstance(notices, ReplyError)
        self.assertRegex(str(notices), "^ERR unknown subcommand")
        self.are_ok(rest[:-1])
        self.assertIsNone(rest[-1])

    def test_ioredis_6_and_its_ready_check(self):
        hello, *rest, info = self.connect().in_one_packet(
            "HELLO 3", "SELECT 1", "CLIENT setname me", "READONLY", "CLIENT SETINFO LIB-VER 6.0.0",
            "CLIENT SETINFO LIB-NAME ioredis", "INFO")
        self.is_hello(hello, 3)
        if not self.server.is_redis:  # which without a cluster refuses READONLY; ioredis ignores that
            self.are_ok(rest)
        self.assertIsInstance(info, Text)
        self.assertIn("\r\nloading:0\r\n", info)
        self.assertIn(b"\r\nloading:0\r\n", self.connect()("INFO"))  # a bulk string in RESP2

    def test_node_redis_6_with_its_cache_and_its_pings(self):
        reader, writer = self.connect(), self.connect()
        hello, select, name, version, tracking, notices, pong = reader.in_one_packet(
            "HELLO 3 SETNAME me", "SELECT 0", "CLIENT SETINFO LIB-VER 6.2.1",
            "CLIENT SETINFO LIB-NAME node-redis", "CLIENT TRACKING ON",
            "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type internal-ip", "PING")
        self.is_hello(hello, 3)
        self.are_ok([select, name, version, tracking])
        self.assertIsInstance(notices, ReplyError)
        self.assertEqual(b"PONG", pong)
        self.assertEqual(b"me", reader("CLIENT", "GETNAME"))
        self.assertIsNone(reader("GET", "cached"))
        writer("SET", "cached", "1")
        self.assertEqual([b"invalidate", [b"cached"]], reader.reply())

    def test_jedis_8_and_its_pool(self):
        hello, *rest, pong = self.connect().in_one_packet(
            "HELLO 3", "CLIENT SETNAME me", "CLIENT SETINFO LIB-NAME jedis", "CLIENT SETINFO LIB-VER 8.0.0",
            "SELECT 2", "PING")
        self.is_hello(hello, 3)
        self.are_ok(rest)
        self.assertEqual(b"PONG", pong)

    def test_lettuce_7_and_go_redis_9(self):
        connection = self.connect()
        self.is_hello(connection("HELLO", "3", "SETNAME", "me"), 3)
        select, name, version, notices = connection.in_one_packet(
            "SELECT 5", "CLIENT SETINFO lib-name Lettuce", "CLIENT SETINFO lib-ver 7.8.0/abc",
            "CLIENT MAINT_NOTIFICATIONS on")
        self.are_ok([select, name, version])
        self.assertIsInstance(notices, ReplyError)
        self.assertEqual(b"PONG", connection("PING"))
        library = "" if self.server.is_redis else ".*lib-name=Lettuce lib-ver=7.8.0/abc"
        self.assertRegex(connection("CLIENT", "INFO"), "name=me .*db=5 " + library)

    def test_redis_client_of_ruby(self):
        hello, *rest = self.connect().in_one_packet(
            "HELLO 3", "SELECT 1", "CLIENT SETINFO LIB-NAME redis-client", "CLIENT SETINFO LIB-VER 0.26.0",
            "CLIENT SETNAME me")
        self.is_hello(hello, 3)
        self.are_ok(rest)

    def test_clients_that_shake_no_hands(self):
        connection = self.connect()
        self.assertEqual(b"id-123", connection("ECHO", "id-123"))
        self.is_hello(connection("HELLO"), 2)
        self.is_hello(connection("HELLO", "2"), 2)
        ok, hello, ok_again, clusters = self.connect().in_one_packet(
            "SELECT 1", "HELLO 3", "SELECT 0", "CLUSTER SLOTS")
        self.are_ok([ok, ok_again])
        self.is_hello(hello, 3)
        self.assertIsInstance(clusters, ReplyError)

    def test_who_asks_for_too_much_can_go_on(self):
        hello, unknown, subcommand, pong = self.connect().in_one_packet(
            "HELLO 4", "NOSUCH a b", "CLIENT NOSUCH", "PING")
        self.assertRegex(str(hello), "^NOPROTO unsupported protocol version")
        self.assertRegex(str(unknown), "^ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b'")
        self.assertRegex(str(subcommand), "^ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.")
        self.assertEqual(b"PONG", pong)

    def test_passwords(self):
        connection = self.connect()
        self.assertRegex(str(connection("AUTH", "x")), "without any password configured for the default user")
        self.assertRegex(str(connection("AUTH")), "wrong number of arguments for 'auth' command")
        self.are_ok([connection("CONFIG", "SET", "requirepass", "secret")])
        try:
            stranger = self.connect()
            get, hello, wrong = stranger.in_one_packet("GET a", "HELLO 3", "HELLO 3 AUTH default wrong")
            self.assertRegex(str(get), "^NOAUTH Authentication required")
            self.assertRegex(str(hello), "^NOAUTH HELLO must be called with the client already authenticated")
            self.assertRegex(str(wrong), "^WRONGPASS ")
            hello, select, value = self.connect().in_one_packet(
                "HELLO 3 AUTH default secret SETNAME me", "SELECT 1", "GET a")
            self.is_hello(hello, 3)
            self.assertEqual([b"OK", None], [select, value])
            auth, select, hello = self.connect().in_one_packet("AUTH secret", "SELECT 1", "HELLO 3")
            self.are_ok([auth, select])
            self.is_hello(hello, 3)
        finally:
            connection("CONFIG", "SET", "requirepass", "")

    # --- tools ---

    def test_what_would_end_redis_cli(self):
        connection = self.connect()
        self.assertEqual([b"databases", b"16"], connection("CONFIG", "GET", "databases"))
        docs = connection("COMMAND", "DOCS")
        self.assertEqual(0, len(docs) % 2)
        self.assertTrue(all(isinstance(name, bytes) for name in docs[::2]))
        self.assertEqual(connection("COMMAND", "COUNT"), len(connection("COMMAND")))
        connection("HELLO", "3")
        self.assertEqual({b"databases": b"16"}, connection("CONFIG", "GET", "databases"))
        self.assertIsInstance(connection("COMMAND", "DOCS"), dict)
        figures = connection("INFO")
        connection("SET", "a", "1")
        for field in ("used_memory", "connected_clients", "blocked_clients", "total_commands_processed",
                      "total_connections_received", "aof_rewrite_in_progress", "loading"):
            self.assertRegex(figures, rf"\r\n{field}:\d+\r\n")
        self.assertRegex(connection("INFO", "keyspace"), r"db0:keys=1,expires=0,avg_ttl=0")

    def test_what_redis_benchmark_asks(self):
        connection = self.connect()
        for name in ("save", "appendonly"):
            self.assertEqual(name.encode(), connection("CONFIG", "GET", name)[0])

    def test_what_exporters_ask(self):
        connection = self.connect()
        self.assertEqual([], connection("LATENCY", "LATEST"))
        self.assertIn(b"config|get", connection("LATENCY", "HISTOGRAM") if connection("CONFIG", "GET", "save") else [])
        self.assertIsInstance(connection("SLOWLOG", "LEN"), int)
        self.assertLessEqual(len(connection("SLOWLOG", "GET", "1")), 1)
        self.assertEqual([None], connection("COMMAND", "INFO", "COMMANDLOG"))
        self.assertEqual(b"# Modules\r\n", connection("INFO", "MODULES"))
        self.assertRegex(connection("CLIENT", "LIST"), rb"^id=\d+ addr=.* age=\d+ idle=\d+ flags=N db=0 .* omem=\d+ .*cmd=client")

    def test_what_sidekiq_rails_and_bullmq_check_before_they_start(self):
        with self.server.connect() as asking:
            info = asking.info()
        self.assertGreaterEqual([int(part) for part in info["redis_version"].split(".")], [7, 0, 0])
        self.assertEqual("noeviction", info["maxmemory_policy"])
        connection = self.connect()
        connection("SET", "a", "1")
        self.assertEqual([1, 0], [connection("EXPIRE", "a", "100", "NX"), connection("EXPIRE", "a", "9", "NX")])

    def test_parameters_that_clients_ask_for(self):
        connection = self.connect()
        for name in """save appendonly appendfsync databases maxmemory maxmemory-policy maxclients timeout port bind
                       dir notify-keyspace-events proto-max-bulk-len slowlog-log-slower-than slowlog-max-len
                       latency-tracking latency-monitor-threshold client-output-buffer-limit requirepass
                       tcp-keepalive cluster-enabled""".split():
            self.assertEqual([name.encode()], connection("CONFIG", "GET", name)[::2])
        # Spring Session switches these on if they are not.
        self.are_ok([connection("CONFIG", "SET", "notify-keyspace-events", "Egx")])
        self.assertEqual({*"Egx"}, {*connection("CONFIG", "GET", "notify-keyspace-events")[1].decode()})
        self.are_ok([connection("CONFIG", "SET", "notify-keyspace-events", "")])


if __name__ == "__main__":
    harness.main(seconds=60)
