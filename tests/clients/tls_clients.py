#!/usr/bin/python3
"""tls_clients.py - redis-cli, redis-benchmark, redis-py and kvs-client through TLS, both sides certified.

The plain port is there too, for the harness. Not here: whom the server refuses (integration/tls_test.cc).
"""

import pathlib
import shutil
import ssl
import tempfile
import threading
import unittest

import harness
from harness import run

harness.need_programs("openssl", "redis-cli", "redis-benchmark")
try:
    import redis
except ImportError:
    redis = None


class Certificates:
    """A CA, and a server and a client that it vouches for."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kvs-tls-"))
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        run("openssl", "req", "-x509", *new_key, "-days", "2", "-subj", "/CN=ca",
            "-keyout", self.file("ca.key"), "-out", self.file("ca.crt"))
        self.file("san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n", encoding="ascii")
        for name in ("server", "client"):
            run("openssl", "req", *new_key, "-subj", f"/CN={name}", "-keyout", self.file(f"{name}.key"),
                "-out", self.file(f"{name}.csr"))
            run("openssl", "x509", "-req", "-days", "2", "-in", self.file(f"{name}.csr"), "-CA",
                self.file("ca.crt"), "-CAkey", self.file("ca.key"), "-CAcreateserial",
                "-extfile", self.file("san"), "-out", self.file(f"{name}.crt"))

    def file(self, name):
        return self.folder / name

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class TlsClients(harness.ServerTestCase):
    @classmethod
    def setUpClass(cls):
        cls.certificates = Certificates()
        cls.addClassCleanup(cls.certificates.remove)
        cls.port = harness.free_port()
        file = cls.certificates.file
        cls.kvs_options = ("--tls-port", str(cls.port), "--tls-cert-file", file("server.crt"),
                           "--tls-key-file", file("server.key"), "--tls-ca-cert-file", file("ca.crt"))
        cls.redis_options = ("--tls", "--cacert", file("ca.crt"), "--cert", file("client.crt"),
                             "--key", file("client.key"))
        super().setUpClass()

    def redis_cli(self, *words, stdin=b""):
        return run("redis-cli", "-p", self.port, *self.redis_options, *words, stdin=stdin).stdout

    def kvs_client(self, *words, check=True, own_certificate=True):
        file = self.certificates.file
        own = ("--tls-cert", file("client.crt"), "--tls-key", file("client.key")) if own_certificate else ()
        return run(harness.program("kvs-client"), *words, "--addr", f"127.0.0.1:{self.port}",
                   "--tls-ca", file("ca.crt"), *own, check=check)

    def test_redis_cli_reads_and_writes(self):
        self.assertEqual(b"OK\n", self.redis_cli("SET", "name", "Ada"))
        self.assertEqual(b"Ada\n", self.redis_cli("GET", "name"))
        large = b"x" * 3_000_000
        self.assertEqual(b"OK\n", self.redis_cli("-x", "SET", "large", stdin=large))
        self.assertEqual(large + b"\n", self.redis_cli("GET", "large"))
        commands = b"".join(harness.pack("SET", f"key:{n}", n) for n in range(20000))
        self.assertIn(b"errors: 0, replies: 20000", self.redis_cli("--pipe", stdin=commands))
        self.assertEqual(20002, len(self.redis_cli("--scan").split()))

    def test_redis_benchmark_is_answered(self):
        for depth in (1, 16):
            done = run("redis-benchmark", "-p", self.port, *self.redis_options, "-t", "set,get,incr",
                       "-n", 10000, "-r", 100, "-d", 100, "-c", 20, "-P", depth, "--csv", seconds=60)
            self.assertNotIn(b"rror", done.stderr)
            self.assertEqual(4, len(done.stdout.splitlines()))
        with self.server.connect() as connection:
            self.assertEqual(100, len(connection("KEYS", "key:*")))
            self.assertEqual(100, len(connection("GET", "key:000000000042")))

    def test_kvs_client_reads_and_writes(self):
        self.kvs_client("set", "name", "Grace")
        self.assertEqual(b"Grace\n", self.kvs_client("get", "name").stdout)
        self.kvs_client("rm", "name")
        self.assertEqual(b"Key not found\n", self.kvs_client("get", "name").stdout)
        refused = self.kvs_client("get", "name", check=False, own_certificate=False)
        self.assertEqual(3, refused.returncode)

    @unittest.skipIf(redis is None, "python3-redis is not installed")
    def test_redis_py_works_from_many_threads(self):
        file = self.certificates.file
        options = {"host": "localhost", "port": self.port, "ssl": True, "ssl_ca_certs": str(file("ca.crt")),
                   "ssl_certfile": str(file("client.crt")), "ssl_keyfile": str(file("client.key")),
                   "ssl_check_hostname": True, "socket_timeout": harness.patience(20)}
        client = redis.Redis(**options)

        def count():
            for _ in range(200):
                client.incr("n")
        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(b"1600", client.get("n"))
        large = b"y" * (16 << 20)
        client.set("large", large)
        self.assertEqual(large, client.get("large"))
        with client.pipeline() as pipeline:
            for number in range(5000):
                pipeline.set(f"k{number}", number)
            self.assertEqual([True] * 5000, pipeline.execute())
        listener = client.pubsub(ignore_subscribe_messages=True)
        listener.subscribe("news")
        listener.get_message(timeout=5)
        client.publish("news", "hello")
        message = listener.get_message(timeout=harness.patience(10))
        self.assertEqual(b"hello", message["data"])
        listener.close()
        client.connection_pool.disconnect()

        without = redis.Redis(host="localhost", port=self.port, ssl=True, ssl_ca_certs=str(file("ca.crt")))
        with self.assertRaises((redis.exceptions.ConnectionError, ssl.SSLError)):
            without.ping()


if __name__ == "__main__":
    harness.main(seconds=100)
