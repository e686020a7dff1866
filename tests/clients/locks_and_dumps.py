#!/usr/bin/python3
"""locks_and_dumps.py - what libraries and other servers send that kvs must take for what it is.

Locks and counters: python3-redis and python3-django-redis send the texts of their scripts, as they are
installed, and php-redis the one of its session handler. Values: a redis-server and the server under test
hand each other DUMP's payloads, and count the same elements in the same bytes.
"""

import hashlib
import importlib.util
import os
import pathlib
import random
import re
import shutil
import string
import time
import unittest

import harness

try:
    import redis
    import redis.lock
except ImportError:
    harness.skip_whole_program("python3-redis is not installed")


class Locks(harness.ServerTestCase):
    def setUp(self):
        super().setUp()
        self.r = redis.Redis("127.0.0.1", self.server.port, socket_timeout=harness.patience(20))

    def tearDown(self):
        self.r.close()
        self.r.connection_pool.disconnect()
        super().tearDown()

    def lock(self, **options):
        return self.r.lock("lock", timeout=10, thread_local=False, **options)

    def test_a_lock_of_redis_py_is_taken_extended_and_released(self):
        lock = self.lock()
        self.assertTrue(lock.acquire(blocking=False))
        self.assertFalse(self.lock().acquire(blocking=False))
        self.assertTrue(lock.extend(10))
        self.assertGreater(self.r.pttl("lock"), 15000)
        self.assertTrue(lock.extend(5, replace_ttl=True))
        self.assertLessEqual(self.r.pttl("lock"), 5000)
        self.assertTrue(lock.reacquire())
        self.assertGreater(self.r.pttl("lock"), 8000)
        lock.release()
        self.assertEqual(0, self.r.exists("lock"))

    def test_a_lock_that_was_lost_is_not_extended_and_not_released(self):
        lock = self.lock()
        self.assertTrue(lock.acquire())
        self.r.set("lock", "somebody else", px=10000)
        for attempt in (lambda: lock.extend(10), lock.reacquire, lock.release):
            with self.assertRaises(redis.exceptions.LockNotOwnedError):
                attempt()
            lock.local.token = lock.local.token or b"lost"
        self.assertEqual(b"somebody else", self.r.get("lock"))

    def test_scripts_are_loaded_and_run_by_text_and_by_digest(self):
        text = redis.lock.Lock.LUA_RELEASE_SCRIPT
        digest = hashlib.sha1(text.encode()).hexdigest()
        self.assertEqual([True], self.r.script_exists(digest))
        self.assertEqual(digest, self.r.script_load(text))
        self.r.set("lock", "token")
        self.assertEqual(0, self.r.eval(text, 1, "lock", "other"))
        self.assertEqual(1, self.r.evalsha(digest, 1, "lock", "token"))

    def test_other_scripts_are_refused_with_the_reason(self):
        with self.assertRaisesRegex(redis.ResponseError, "this server runs no Lua"):
            self.r.eval("return 1", 0)
        with self.assertRaises(redis.exceptions.NoScriptError):
            self.r.evalsha("0" * 40, 0)

    def test_django_redis_counts_with_its_own_script(self):
        package = importlib.util.find_spec("django_redis")
        if package is None:
            self.skipTest("python3-django-redis is not installed")
        # Importing it would need Django's settings.
        source = pathlib.Path(package.origin).parent / "client" / "default.py"
        texts = re.findall(r'lua = """(.*?)"""', source.read_text(), re.DOTALL)
        self.assertEqual(2, len(texts))
        only_present, always = texts
        self.assertIsNone(self.r.eval(only_present, 1, "n", 5))
        self.assertEqual(5, self.r.eval(always, 1, "n", 5))
        self.assertEqual(3, self.r.eval(only_present, 1, "n", -2))

    def test_the_script_of_php_sessions_releases_the_lock(self):
        libraries = sorted(pathlib.Path("/usr/lib/php").glob("*/redis.so"))
        if not libraries:
            self.skipTest("php-redis is not installed")
        text = re.search(rb'if redis\.call\("get"[ -~]*', libraries[-1].read_bytes()).group().decode()
        self.r.set("lock", "secret")
        self.assertEqual(0, self.r.eval(text, 1, "lock", "other"))
        self.assertEqual(1, self.r.eval(text, 1, "lock", "secret"))


@unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed")
class TwoServers(harness.ServerTestCase):
    def setUp(self):
        super().setUp()
        self.other_server = harness.Server(path=shutil.which("redis-server")).start()
        self.kvs = redis.Redis("127.0.0.1", self.server.port, socket_timeout=harness.patience(20))
        self.redis = redis.Redis("127.0.0.1", self.other_server.port, socket_timeout=harness.patience(20))

    def tearDown(self):
        for client in (self.kvs, self.redis):
            client.close()
            client.connection_pool.disconnect()
        self.other_server.close()
        super().tearDown()

    def values(self):
        """Strings that Redis writes in every way that it has."""
        chance = random.Random(os.environ.get("KVS_SEED", time.time()))
        yield from (b"", b"0", b"-1", b"127", b"128", b"-129", b"32768", b"-2147483648", b"2147483648",
                    b"9223372036854775807", b"007", b"a" * 20, b"a" * 21, b"ab" * 5000, bytes(range(256)) * 40)
        for length in (63, 64, 16383, 16384, 100000):
            yield chance.randbytes(length)
            yield "".join(chance.choice("ab") for _ in range(length)).encode()
        for _ in range(200):
            words = ["".join(chance.choices(string.ascii_lowercase, k=5)) for _ in range(4)]
            yield " ".join(chance.choices(words, k=chance.randrange(1, 300))).encode()

    def test_what_one_dumps_the_other_restores(self):
        for source, target in ((self.kvs, self.redis), (self.redis, self.kvs)):
            for value in self.values():
                source.set("key", value)
                target.restore("key", 0, source.dump("key"), replace=True)
                self.assertEqual(value, target.get("key"))
                self.assertEqual(source.dump("key")[:1], target.dump("key")[:1])

    def test_a_deadline_travels_with_the_value(self):
        self.kvs.set("key", "value")
        self.redis.restore("key", 50000, self.kvs.dump("key"))
        self.assertGreater(self.redis.pttl("key"), 40000)
        at = int(time.time() * 1000) + 60000
        self.kvs.restore("key", at, self.redis.dump("key"), replace=True, absttl=True)
        self.assertEqual(at, self.kvs.execute_command("PEXPIRETIME", "key"))

    def test_values_of_other_types_are_refused_with_the_reason(self):
        self.redis.rpush("list", "a", "b")
        self.redis.hset("hash", "field", "value")
        self.redis.sadd("set", "member")
        self.redis.zadd("zset", {"member": 1})
        self.redis.xadd("stream", {"field": "value"})
        for name in ("list", "hash", "set", "zset", "stream"):
            with self.assertRaisesRegex(redis.ResponseError, "only strings"):
                self.kvs.restore(name, 0, self.redis.dump(name))
        self.assertEqual(0, self.kvs.dbsize())

    def test_the_same_elements_make_the_same_hyperloglog(self):
        chance = random.Random(os.environ.get("KVS_SEED", time.time()))
        pipes = [server.pipeline(transaction=False) for server in (self.kvs, self.redis)]
        names = [f"hll{i}" for i in range(20)]
        for _ in range(2000):
            name = chance.choice(names)
            elements = [chance.randbytes(chance.randrange(20)) for _ in range(chance.randrange(12))]
            for pipe in pipes:
                pipe.pfadd(name, *elements)
        merges = [[chance.choice(names), *chance.sample(names, chance.randrange(5))] for _ in range(40)]
        for pipe in pipes:
            for target, *sources in merges:
                pipe.pfmerge(target, *sources)
                pipe.pfcount(target)
                pipe.pfcount(target, *sources)
                pipe.get(target)
            pipe.mget(names)
        self.assertEqual(pipes[0].execute(), pipes[1].execute())

    def test_a_hyperloglog_of_one_goes_on_in_the_other(self):
        self.redis.pfadd("h", *range(3000))
        self.kvs.set("h", self.redis.get("h"))
        self.kvs.pfadd("h", *range(3000, 6000))
        self.redis.set("h", self.kvs.get("h"))
        self.assertEqual(self.kvs.pfcount("h"), self.redis.pfcount("h"))
        self.assertLess(abs(6000 - self.redis.pfcount("h")), 200)


if __name__ == "__main__":
    harness.main(seconds=150)
