#!/usr/bin/python3
"""php_sessions.py - PHP keeps its sessions in the server, through the session handler of php-redis.

  php_sessions.py            sessions without locks
  php_sessions.py --locking  and with them, which are released by a script

Three `php -S` serve the same site, as several machines would; visitors come by HTTP.
"""

import http.cookiejar
import json
import subprocess
import sys
import threading
import time
import urllib.request

import harness

LOCKING = sys.argv[1:] == ["--locking"]
PAGE = harness.SOURCE / "tests" / "clients" / "php_sessions.php"


class Visitor:
    """A browser: it keeps the cookie that it is given."""

    def __init__(self):
        self.cookies = http.cookiejar.CookieJar()
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, port, path):
        with self.browser.open(f"http://127.0.0.1:{port}{path}", timeout=harness.patience(20)) as page:
            return page.read().decode()

    def session(self):
        return next(cookie.value for cookie in self.cookies if cookie.name == "PHPSESSID")


class PhpSessions(harness.ServerTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        path = f"tcp://127.0.0.1:{cls.server.port}?prefix=SESSION:&database=2"
        settings = {"session.save_handler": "redis", "session.save_path": f'"{path}"',
                    "session.gc_maxlifetime": 100, "redis.session.locking_enabled": int(LOCKING),
                    "redis.session.lock_retries": 2000, "redis.session.lock_wait_time": 5000}
        options = [word for name, value in settings.items() for word in ("-d", f"{name}={value}")]
        cls.sites = []
        for _ in range(3):
            port = harness.free_port()
            with open(cls.server.root / f"php-{port}.log", "wb") as log:
                process = harness.spawn(["php", *options, "-S", f"127.0.0.1:{port}", PAGE],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            cls.addClassCleanup(process.wait)
            cls.addClassCleanup(process.kill)
            cls.sites.append(port)
        for port in cls.sites:
            cls.wait_for(port)

    @staticmethod
    def wait_for(port):
        deadline = time.monotonic() + harness.patience(10)
        while True:
            try:
                Visitor().get(port, "/visit")
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def setUp(self):
        super().setUp()
        self.sessions = self.server.connect()
        self.sessions("SELECT", "2")
        self.addCleanup(self.sessions.close)

    def tearDown(self):
        for port in self.sites:
            log = (self.server.root / f"php-{port}.log").read_text()
            self.assertNotRegex(log, r"PHP (Warning|Fatal|Notice)|Failed to")
        super().tearDown()

    def test_a_session_is_seen_by_every_machine_and_by_its_visitor_alone(self):
        ada, bob = Visitor(), Visitor()
        for visit in range(1, 7):
            self.assertEqual(str(visit), ada.get(self.sites[visit % 3], "/visit"))
        self.assertEqual("1", bob.get(self.sites[0], "/visit"))
        self.assertEqual("7", ada.get(self.sites[1], "/visit"))
        self.assertEqual({f"SESSION:{who.session()}".encode() for who in (ada, bob)},
                         set(self.sessions("KEYS", "*")))

    def test_values_of_all_kinds_are_kept(self):
        visitor = Visitor()
        visitor.get(self.sites[0], "/basket?name=apple")
        basket = json.loads(visitor.get(self.sites[1], "/basket?name=%C3%A4%00"))
        self.assertEqual([{"name": "apple", "price": 2.5}, {"name": "ä\0", "price": 2.5}], basket)

    def test_a_session_ends_by_itself_unless_it_is_used(self):
        visitor = Visitor()
        visitor.get(self.sites[0], "/visit")
        key = f"SESSION:{visitor.session()}"
        self.assertIn(self.sessions("TTL", key), range(95, 101))
        self.sessions("EXPIRE", key, 50)
        visitor.get(self.sites[1], "/visit")
        self.assertIn(self.sessions("TTL", key), range(95, 101))
        self.sessions("PEXPIRE", key, 1)
        time.sleep(0.05)
        self.assertEqual("1", visitor.get(self.sites[2], "/visit"))

    def test_a_session_gets_another_name_and_is_destroyed(self):
        visitor = Visitor()
        visitor.get(self.sites[0], "/visit")
        old = visitor.session()
        new = visitor.get(self.sites[1], "/login")
        self.assertNotEqual(old, new)
        self.assertEqual("2", visitor.get(self.sites[2], "/visit"))
        self.assertEqual([f"SESSION:{new}".encode()], self.sessions("KEYS", "*"))
        self.assertEqual("gone", visitor.get(self.sites[0], "/leave"))
        self.assertEqual([], self.sessions("KEYS", "*"))

    def test_requests_at_once_wait_for_each_other(self):
        if not LOCKING:
            self.skipTest("sessions have no locks in this run")
        visitor = Visitor()
        visitor.get(self.sites[0], "/visit")
        lock = f"SESSION:{visitor.session()}_LOCK"
        answers, locked = [], []

        def visit(port):
            for _ in range(4):
                answers.append(int(visitor.get(port, "/visit?microseconds=20000")))

        threads = [threading.Thread(target=visit, args=(port,), daemon=True) for port in self.sites]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            locked.append(self.sessions("EXISTS", lock))
            time.sleep(0.005)
        self.assertEqual(list(range(2, 14)), sorted(answers))
        self.assertGreater(sum(locked), len(locked) // 4)
        self.assertEqual(0, self.sessions("EXISTS", lock))


if __name__ == "__main__":
    del sys.argv[1:]
    harness.need_programs("php")
    if b"redis" not in harness.run("php", "-m").stdout.split():
        harness.skip_whole_program("php-redis is not installed")
    harness.main(seconds=60)
