#!/usr/bin/python3
"""python_caches.py - what Debian packages of Python's web frameworks keep in the server: Django's
cache (django-redis), Flask-Caching, and results of Celery (without a broker: tasks run eagerly).
"""

import threading
import time

import harness

try:
    import celery
    import django.conf
    import django_redis
    import flask
    import flask_caching
except ImportError as missing:
    harness.skip_whole_program(f"not installed: {missing.name}")


class Django(harness.ServerTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        address = f"redis://127.0.0.1:{cls.server.port}/3"
        django.conf.settings.configure(CACHES={"default": {
            "BACKEND": "django_redis.cache.RedisCache", "LOCATION": address, "KEY_PREFIX": "site"}})
        from django.core.cache import cache
        cls.cache = cache

    def test_values_of_all_kinds_come_back(self):
        for value in ("text", 42, 2.5, None, [1, {"a": b"\0\xff"}]):
            self.cache.set("value", value, 60)
            self.assertEqual(value, self.cache.get("value", "absent"))
        self.assertEqual("absent", self.cache.get("nothing", "absent"))
        self.assertFalse(self.cache.add("value", 1))
        self.assertTrue(self.cache.add("fresh", 1))
        self.assertEqual(2, self.cache.incr("fresh"))
        self.assertEqual(5, self.cache.get_or_set("made", lambda: 5, 60))
        self.assertTrue(self.cache.touch("made", 100))
        self.assertTrue(90 < self.cache.ttl("made") <= 100)

    def test_many_at_once_versions_and_patterns(self):
        self.cache.set_many({"a": 1, "b": 2}, 60)
        self.assertEqual({"a": 1, "b": 2}, self.cache.get_many(["a", "b", "c"]))
        self.cache.set("a", 3, version=2)
        self.assertEqual(1, self.cache.get("a"))
        self.assertEqual(3, self.cache.get("a", version=2))
        self.assertEqual({"a", "b"}, set(self.cache.keys("[ab]")))
        self.cache.delete_many(["a"])
        self.assertEqual(1, self.cache.delete_pattern("b*"))
        self.assertEqual({}, self.cache.get_many(["a", "b"]))
        self.cache.clear()
        self.assertIsNone(self.cache.get("a", version=2))

    def test_deadlines_pass(self):
        self.cache.set("brief", 1, 0.2)
        time.sleep(0.4)
        self.assertIsNone(self.cache.get("brief"))


class Flask(harness.ServerTestCase):
    def test_a_view_is_computed_once(self):
        app = flask.Flask(__name__)
        cache = flask_caching.Cache(app, config={
            "CACHE_TYPE": "RedisCache", "CACHE_REDIS_HOST": "127.0.0.1",
            "CACHE_REDIS_PORT": self.server.port, "CACHE_KEY_PREFIX": "flask:"})
        computed = []

        @app.route("/<name>")
        @cache.cached(timeout=60)
        def view(name):
            computed.append(name)
            return f"hello {name}"

        @cache.memoize(60)
        def square(number):
            computed.append(number)
            return number * number

        with app.test_client() as browser:
            for _ in range(3):
                self.assertEqual(b"hello ada", browser.get("/ada").data)
        with app.app_context():
            self.assertEqual([49, 49], [square(7), square(7)])
            cache.delete_memoized(square)
            self.assertEqual(49, square(7))
            self.assertEqual(["ada", 7, 7], computed)
            self.assertTrue(cache.set_many({"x": 1, "y": 2}))
            self.assertEqual([1, 2, None], cache.get_many("x", "y", "z"))
            cache.clear()
            self.assertIsNone(cache.get("x"))


class Celery(harness.ServerTestCase):
    def test_results_are_kept_and_waited_for(self):
        app = celery.Celery("test", broker="memory://",
                            backend=f"redis://127.0.0.1:{self.server.port}/1")
        app.conf.result_expires = 100

        @app.task
        def add(a, b):
            return a + b

        backend = app.backend
        result = celery.result.AsyncResult("one", app=app)
        self.assertEqual("PENDING", result.state)
        # The worker's half, later and from another thread: the waiting half is told by a message.
        worker = threading.Timer(0.2, lambda: backend.mark_as_done("one", add(2, 40)))
        worker.start()
        self.assertEqual(42, result.get(timeout=harness.patience(10)))
        worker.join()
        self.assertTrue(0 < backend.client.ttl(backend.get_key_for_task("one")) <= 100)
        try:
            raise ValueError("no")
        except ValueError as error:
            backend.mark_as_failure("two", error, traceback="where")
        failed = celery.result.AsyncResult("two", app=app)
        with self.assertRaises(ValueError):
            failed.get(timeout=harness.patience(10))
        result.forget()
        self.assertEqual("PENDING", celery.result.AsyncResult("one", app=app).state)


if __name__ == "__main__":
    harness.main(seconds=60)
