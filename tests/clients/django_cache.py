#!/usr/bin/python3
"""django_cache.py - Django keeps its cache, its sessions and whole pages in the server (django-redis)."""

import time

import harness

try:
    import django
    import django.conf
    import django.core.cache
    import django.http
    import django.test
    import django.urls
    import django_redis  # named by the settings below
except ImportError as missing:
    harness.skip_whole_program(f"not installed: {missing.name}")

computed = []


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return django.http.HttpResponse(str(request.session["visits"]), headers={"Cache-Control": "private"})


def leave(request):
    request.session.flush()
    return django.http.HttpResponse("gone", headers={"Cache-Control": "private"})


def page(request, name):
    computed.append(name)
    return django.http.HttpResponse(f"hello {name}")


urlpatterns = [django.urls.path("visits", visits), django.urls.path("leave", leave),
               django.urls.path("page/<name>", page)]


class Django(harness.ServerTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        address = f"redis://127.0.0.1:{cls.server.port}/3"
        django.conf.settings.configure(
            ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="not a secret",
            CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": address,
                                "KEY_PREFIX": "site"}},
            MIDDLEWARE=["django.middleware.cache.UpdateCacheMiddleware",
                        "django.contrib.sessions.middleware.SessionMiddleware",
                        "django.middleware.cache.FetchFromCacheMiddleware"],
            SESSION_ENGINE="django.contrib.sessions.backends.cache", CACHE_MIDDLEWARE_SECONDS=60)
        django.setup()
        cls.cache = django.core.cache.cache

    def test_values_of_all_kinds_come_back(self):
        for value in ("text", 42, 2.5, None, [1, {"a": b"\0\xff"}]):
            self.cache.set("value", value, 60)
            self.assertEqual(value, self.cache.get("value", "absent"))
        self.assertEqual("absent", self.cache.get("nothing", "absent"))
        self.assertFalse(self.cache.add("value", 1))
        self.assertTrue(self.cache.add("fresh", 1))
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

    def test_sessions_are_kept_between_requests(self):
        ada, bob = django.test.Client(), django.test.Client()
        for visit in range(1, 4):
            self.assertEqual(b"%d" % visit, ada.get("/visits").content)
        self.assertEqual(b"1", bob.get("/visits").content)
        self.assertEqual(2, len(self.cache.keys("django.contrib.sessions.cache*")))
        ada.get("/leave")
        self.assertEqual(1, len(self.cache.keys("django.contrib.sessions.cache*")))
        self.assertEqual(b"1", ada.get("/visits").content)

    def test_a_page_is_computed_once(self):
        computed.clear()
        for _ in range(3):
            self.assertEqual(b"hello ada", django.test.Client().get("/page/ada").content)
        self.assertEqual(b"hello bob", django.test.Client().get("/page/bob").content)
        self.assertEqual(["ada", "bob"], computed)


if __name__ == "__main__":
    harness.main(seconds=60)
