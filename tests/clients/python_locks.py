#!/usr/bin/python3
"""python_locks.py - locks of redis-py, and django-redis' locks and counters: SET NX and well-known scripts."""

import threading
import time

import harness

try:
    import django.conf
    import django.core.cache
    import django_redis  # named by the settings below
    import redis
except ImportError as missing:
    harness.skip_whole_program(f"not installed: {missing.name}")


class Locks(harness.ServerTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        django.conf.settings.configure(CACHES={"default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{cls.server.port}/3", "KEY_PREFIX": "site"}})
        cls.cache = django.core.cache.cache

    def setUp(self):
        super().setUp()
        self.r = redis.Redis("127.0.0.1", self.server.port, socket_timeout=harness.patience(20))
        self.addCleanup(self.r.close)

    def test_a_lock_is_held_by_one_until_it_is_released(self):
        lock = self.r.lock("lock", timeout=10)
        other = self.r.lock("lock", timeout=10)
        self.assertTrue(lock.acquire())
        self.assertTrue(lock.owned())
        self.assertFalse(other.acquire(blocking=False))
        self.assertFalse(other.acquire(blocking_timeout=0.2))
        lock.release()
        self.assertEqual(0, self.r.exists("lock"))
        self.assertTrue(other.acquire(blocking=False))
        other.release()

    def test_a_lock_is_extended_and_begun_anew(self):
        lock = self.r.lock("lock", timeout=10)
        self.assertTrue(lock.acquire())
        self.assertTrue(lock.extend(20))
        self.assertIn(self.r.pttl("lock"), range(25000, 30001))
        self.assertTrue(lock.extend(5, replace_ttl=True))
        self.assertIn(self.r.pttl("lock"), range(3000, 5001))
        self.assertTrue(lock.reacquire())
        self.assertIn(self.r.pttl("lock"), range(8000, 10001))
        lock.release()

    def test_who_lost_a_lock_can_neither_release_nor_extend_it(self):
        lock = self.r.lock("lock", timeout=10)
        self.assertTrue(lock.acquire())
        self.r.set("lock", "somebody else")
        for attempt in (lock.release, lambda: lock.extend(10), lock.reacquire):
            lock.local.token = lock.local.token or b"mine"
            with self.assertRaises(redis.exceptions.LockNotOwnedError):
                attempt()
        self.assertEqual(b"somebody else", self.r.get("lock"))
        brief = self.r.lock("brief", timeout=0.1)
        self.assertTrue(brief.acquire())
        time.sleep(0.2)
        with self.assertRaises(redis.exceptions.LockNotOwnedError):
            brief.release()

    def test_scripts_are_known_by_their_digest_after_a_restart_of_the_server(self):
        lock = self.r.lock("lock", timeout=100)
        self.assertTrue(lock.acquire())
        self.server.restart_after_kill()
        try:
            lock.extend(1)
        except redis.ConnectionError:  # its connection was the old server's
            lock.extend(1)
        lock.release()
        self.assertEqual(0, self.r.exists("lock"))

    def test_under_contention_only_one_is_inside(self):
        counted, problems = [0], []

        def work():
            try:
                for _ in range(10):
                    with self.r.lock("contended", timeout=30, sleep=0.002):
                        before = counted[0]
                        time.sleep(0.002)
                        counted[0] = before + 1
            except Exception as problem:  # reported below
                problems.append(problem)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=harness.patience(30))
        self.assertEqual([], problems)
        self.assertEqual([60], counted)

    def test_django_counts_and_locks(self):
        self.cache.set("count", 1, 60)
        self.assertEqual(2, self.cache.incr("count"))
        self.assertEqual(12, self.cache.incr("count", 10))
        self.assertEqual(11, self.cache.decr("count"))
        self.assertIn(self.cache.ttl("count"), range(55, 61))
        with self.assertRaises(ValueError):
            self.cache.incr("missing")
        with self.cache.lock("django", timeout=10):
            self.assertFalse(self.cache.lock("django", timeout=10).acquire(blocking=False))
        self.assertTrue(self.cache.lock("django", timeout=10).acquire(blocking=False))


if __name__ == "__main__":
    harness.main(seconds=60)
