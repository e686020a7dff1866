#!/usr/bin/python3
"""flask_cache.py - Flask-Caching keeps views, functions and values in the server."""

import time

import harness

try:
    import flask
    import flask_caching
except ImportError as missing:
    harness.skip_whole_program(f"not installed: {missing.name}")


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

    def test_values_expire_and_are_counted(self):
        app = flask.Flask(__name__)
        cache = flask_caching.Cache(app, config={
            "CACHE_TYPE": "RedisCache", "CACHE_REDIS_PORT": self.server.port, "CACHE_KEY_PREFIX": "two:"})
        with app.app_context():
            for value in ("text", 42, 2.5, None, [1, {"a": b"\0\xff"}]):
                self.assertTrue(cache.set("value", value))
                self.assertEqual(value, cache.get("value"))
            self.assertTrue(cache.has("value"))
            self.assertFalse(cache.add("value", 1))
            self.assertTrue(cache.set("brief", 1, timeout=1))
            self.assertEqual(5, cache.cache.inc("count", 5))
            self.assertEqual(3, cache.cache.dec("count", 2))
            self.assertTrue(cache.delete_many("value", "count"))
            self.assertFalse(cache.has("value"))
            time.sleep(1.1)
            self.assertIsNone(cache.get("brief"))


if __name__ == "__main__":
    harness.main(seconds=60)
