#!/usr/bin/python3
"""python_redis.py - Debian's python3-redis does a session of real work.

Its pipelines are MULTI/EXEC by default, its transactions WATCH and try again, and its connection
pool is shared by threads: what Python programs rely on.
"""

import os
import random
import threading
import time

import harness

try:
    import redis
except ImportError:
    harness.skip_whole_program("python3-redis is not installed")


class PythonRedis(harness.ServerTestCase):
    def setUp(self):
        super().setUp()
        self.clients = []
        self.r = self.client()

    def tearDown(self):
        for client in self.clients:
            client.close()
            client.connection_pool.disconnect()
        super().tearDown()

    def client(self, **options):
        client = redis.Redis("127.0.0.1", self.server.port, socket_timeout=harness.patience(20), **options)
        self.clients.append(client)
        return client

    def test_strings_read_back_what_was_written(self):
        r = self.r
        self.assertTrue(r.ping())
        self.assertTrue(r.set("name", "Ada"))
        self.assertEqual(b"Ada", r.get("name"))
        self.assertIsNone(r.get("missing"))
        self.assertIsNone(r.set("name", "other", nx=True))
        self.assertEqual(b"Ada", r.set("name", "Grace", xx=True, get=True))
        self.assertEqual(b"Grace", r.getset("name", "Linus"))
        self.assertEqual(b"Linus", r.getdel("name"))
        self.assertTrue(r.mset({"a": 1, "b": 2}))
        self.assertEqual([b"1", b"2", None], r.mget("a", "b", "c"))
        self.assertFalse(r.msetnx({"b": 3, "c": 3}))
        self.assertEqual(11, r.incr("a", 10))
        self.assertEqual(1, r.decr("b"))
        self.assertEqual(11.5, r.incrbyfloat("a", 0.5))
        self.assertEqual(8, r.append("text", "pictures"))
        self.assertEqual(8, r.setrange("text", 0, "fi"))
        self.assertEqual(b"ctu", r.getrange("text", 2, 4))
        self.assertEqual(8, r.strlen("text"))
        self.assertEqual(2, r.exists("a", "b", "zzz"))
        self.assertTrue(r.rename("text", "word"))
        self.assertTrue(r.copy("word", "word2"))
        self.assertEqual(b"string", r.type("word2"))
        self.assertEqual({b"a", b"b", b"word", b"word2"}, set(r.keys("*")))
        self.assertEqual(2, r.delete("a", "b", "zzz"))
        self.assertEqual(2, r.dbsize())

    def test_text_is_decoded_where_asked(self):
        r = self.client(decode_responses=True)
        r.set("größe", "żółw 🐢")
        self.assertEqual("żółw 🐢", r.get("größe"))
        self.assertEqual(["größe"], r.keys())

    def test_errors_are_exceptions_with_redis_texts(self):
        self.r.set("word", "abc")
        with self.assertRaisesRegex(redis.ResponseError, "value is not an integer or out of range"):
            self.r.incr("word")
        with self.assertRaisesRegex(redis.ResponseError, "unknown command 'NOSUCH'"):
            self.r.execute_command("NOSUCH", "x")
        with self.assertRaisesRegex(redis.ResponseError, "wrong number of arguments for 'get' command"):
            self.r.execute_command("GET")
        self.assertEqual(b"abc", self.r.get("word"))

    def test_pipelines_are_transactions(self):
        with self.r.pipeline() as pipe:
            pipe.set("x", 1).incr("x").incrby("x", 40).get("x").get("none")
            self.assertEqual([True, 2, 42, b"42", None], pipe.execute())
            pipe.set("word", "abc").incr("word").set("after", "1")
            results = pipe.execute(raise_on_error=False)
        self.assertTrue(results[0])
        self.assertIsInstance(results[1], redis.ResponseError)
        self.assertTrue(results[2])
        self.assertEqual(b"1", self.r.get("after"))
        with self.r.pipeline(transaction=False) as pipe:
            for n in range(5000):
                pipe.set(f"p:{n}", n)
            self.assertEqual([True] * 5000, pipe.execute())
            for n in range(5000):
                pipe.get(f"p:{n}")
            self.assertEqual([b"%d" % n for n in range(5000)], pipe.execute())

    def test_a_bad_command_aborts_the_transaction(self):
        with self.r.pipeline() as pipe:
            pipe.set("never", "written").execute_command("SET", "only-a-key")
            with self.assertRaises(redis.ResponseError):
                pipe.execute()
        self.assertIsNone(self.r.get("never"))

    def test_watch_notices_another_writer(self):
        self.r.set("stock", 10)
        with self.r.pipeline() as pipe:
            pipe.watch("stock")
            self.client().set("stock", 5)
            pipe.multi()
            pipe.set("stock", 9)
            with self.assertRaises(redis.WatchError):
                pipe.execute()
        self.assertEqual(b"5", self.r.get("stock"))

    def test_transactions_that_try_again_lose_no_update(self):
        rounds, workers = 30, 6
        self.r.set("balance", 0)
        retries = []

        def deposit(pipe):
            retries.append(1)
            balance = int(pipe.get("balance"))
            pipe.multi()
            pipe.set("balance", balance + 1)

        def work():
            for _ in range(rounds):
                self.r.transaction(deposit, "balance")

        self.in_threads(workers, work)
        self.assertEqual(rounds * workers, int(self.r.get("balance")))
        self.assertGreaterEqual(len(retries), rounds * workers)

    def test_scan_iter_finds_every_key(self):
        expected = {b"scan:%d" % n for n in range(4000)}
        with self.r.pipeline(transaction=False) as pipe:
            for key in expected:
                pipe.set(key, "v")
            for n in range(300):
                pipe.set(f"other:{n}", "v")
            pipe.execute()
        self.assertEqual(expected, set(self.r.scan_iter("scan:*", count=50)))
        self.assertEqual(4300, len(set(self.r.scan_iter())))
        self.assertEqual(4300, len(set(self.r.scan_iter(_type="string"))))
        self.assertEqual(set(), set(self.r.scan_iter(_type="list")))

    def test_expiry(self):
        r = self.r
        r.set("short", "v", px=50)
        r.setex("long", 100, "v")
        self.assertIn(r.ttl("long"), range(95, 101))
        self.assertIn(r.pttl("long"), range(95000, 100001))
        self.assertTrue(r.expire("long", 200))
        self.assertFalse(r.expire("missing", 200))
        self.assertTrue(r.persist("long"))
        self.assertEqual(-1, r.ttl("long"))
        at = int(time.time()) + 1000
        self.assertTrue(r.expireat("long", at))
        self.assertEqual(at, r.execute_command("EXPIRETIME", "long"))
        self.assertEqual(b"v", r.getex("long", persist=True))
        self.assertEqual(-1, r.ttl("long"))
        time.sleep(0.1)
        self.assertIsNone(r.get("short"))
        self.assertEqual(-2, r.ttl("short"))

    def test_binary_and_large_values(self):
        key = bytes(range(256))
        seed = int(os.environ.get("KVS_SEED", random.randrange(1 << 32)))
        print(f"KVS_SEED={seed}", end=" ", flush=True)
        generator = random.Random(seed)
        for size in (0, 1, 255, 65536, 1 << 20, (1 << 20) + 7):
            value = generator.randbytes(size)
            self.assertTrue(self.r.set(key, value))
            self.assertEqual(value, self.r.get(key))
        values = {f"mib:{n}": generator.randbytes(1 << 20) for n in range(16)}
        with self.r.pipeline() as pipe:
            for name, value in values.items():
                pipe.set(name, value)
            self.assertEqual([True] * 16, pipe.execute())
        self.assertEqual(list(values.values()), self.r.mget(list(values)))

    def in_threads(self, count, work):
        problems = []

        def guarded():
            try:
                work()
            except Exception as problem:  # reported by the thread that waits
                problems.append(problem)

        threads = [threading.Thread(target=guarded, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=harness.patience(60))
            self.assertFalse(thread.is_alive(), "a thread is stuck")
        if problems:
            raise problems[0]

    def test_many_threads_share_a_client(self):
        lock, names = threading.Lock(), iter(range(100))

        def work():
            with lock:
                me = next(names)
            for n in range(100):
                value = f"{me}-{n}" * 20
                self.r.set(f"thread:{me}:{n % 10}", value)
                self.r.incr("total")
                assert self.r.get(f"thread:{me}:{n % 10}") == value.encode()

        self.in_threads(24, work)
        self.assertEqual(2400, int(self.r.get("total")))
        self.assertEqual(241, self.r.dbsize())

    def test_clients_have_names_and_can_be_killed(self):
        victim = self.client(single_connection_client=True)
        self.assertTrue(victim.client_setname("victim"))
        self.assertEqual("victim", victim.client_getname())
        victim_id = victim.client_id()
        listed = {client["name"]: client for client in self.r.client_list()}
        self.assertEqual(str(victim_id), listed["victim"]["id"])
        self.assertRegex(listed["victim"]["addr"], r"^127\.0\.0\.1:\d+$")
        self.assertEqual("victim", victim.client_info()["name"])
        self.assertEqual(1, self.r.client_kill_filter(_id=str(victim_id)))
        deadline = time.monotonic() + harness.patience(5)
        while any(c["name"] == "victim" for c in self.r.client_list()):
            self.assertLess(time.monotonic(), deadline, "the killed client is still listed")
            time.sleep(0.02)
        self.assertTrue(self.reconnected(victim).ping())
        self.assertNotEqual(victim_id, victim.client_id())

    def test_info_and_configuration(self):
        info = self.r.info()
        self.assertRegex(info["redis_version"], r"^\d+\.\d+\.\d+$")
        self.assertGreaterEqual(info["connected_clients"], 1)
        self.assertEqual("master", info["role"])
        self.assertEqual(0, info["loading"])
        self.r.set("k", "v")
        self.assertEqual(1, self.r.info("keyspace")["db0"]["keys"])
        self.assertEqual("yes", self.r.config_get("appendonly")["appendonly"])
        self.assertIn("maxclients", self.r.config_get("*"))
        old = self.r.config_get("timeout")["timeout"]
        self.assertTrue(self.r.config_set("timeout", 1234))
        self.assertEqual("1234", self.r.config_get("timeout")["timeout"])
        self.assertTrue(self.r.config_set("timeout", old))
        self.assertGreater(self.r.time()[0], 1_600_000_000)

    def test_values_and_connections_survive_a_killed_server(self):
        self.r.set("durable", "yes")
        self.server.restart_after_kill()
        retrying = self.client(retry_on_error=[redis.ConnectionError])
        self.assertEqual(b"yes", retrying.get("durable"))
        self.assertEqual(b"yes", self.reconnected(self.r).get("durable"))

    def reconnected(self, client):
        """A client whose connection is dead: one error, then it has connected again."""
        try:
            client.ping()
        except redis.ConnectionError:
            client.ping()
        return client


if __name__ == "__main__":
    harness.main(seconds=100)
