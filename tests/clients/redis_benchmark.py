#!/usr/bin/python3
"""redis_benchmark.py - Debian's redis-benchmark runs its string tests; what it left behind is checked.

Speed is not the question here (tests/bench asks it): every request must be answered without an
error, and the keys must hold what the load generator wrote.
"""

import csv
import io

import harness
from harness import run

REQUESTS = 10000
KEYS = 500


class RedisBenchmark(harness.ServerTestCase):
    def benchmark(self, *options, tests="ping,set,get,incr,mset", requests=REQUESTS):
        done = run("redis-benchmark", "-h", "127.0.0.1", "-p", self.server.port, "-t", tests,
                   "-n", requests, "-r", KEYS, "-d", 100, "-c", 20, "--csv", *options, seconds=60)
        self.assertNotIn(b"rror", done.stderr)
        rows = {row["test"]: float(row["rps"])
                for row in csv.DictReader(io.StringIO(done.stdout.decode()))}
        for rps in rows.values():
            self.assertGreater(rps, 0)
        return rows

    def run_all_and_check(self, *options):
        rows = self.benchmark(*options)
        self.assertEqual({"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"}, set(rows))
        with self.server.connect() as connection:
            info = connection.info()
            self.assertGreaterEqual(int(info["total_commands_processed"]), 6 * REQUESTS)
            keys = connection("KEYS", "key:*")
            self.assertEqual({b"key:%012d" % n for n in range(KEYS)}, set(keys))
            self.assertEqual(KEYS, len(keys))
            values = set(connection("MGET", *keys))
            self.assertEqual(1, len(values), "redis-benchmark writes one value everywhere")
            self.assertEqual(100, len(values.pop()))
            counters = connection("KEYS", "counter:*")
            counts = [int(value) for value in connection("MGET", *counters)]
            # Its requests come in whole pipelines, so the last one may go beyond -n.
            self.assertGreaterEqual(sum(counts), REQUESTS)
            self.assertLess(sum(counts), REQUESTS + 20 * 16)

    def test_strings_one_request_at_a_time(self):
        self.run_all_and_check()

    def test_strings_pipelined(self):
        self.run_all_and_check("-P", "16")

    def test_strings_in_resp3(self):
        self.run_all_and_check("-3")

    def test_strings_from_two_threads(self):
        self.run_all_and_check("--threads", "2", "-P", "4")

    def test_arbitrary_commands(self):
        done = run("redis-benchmark", "-p", self.server.port, "-n", 2000, "-r", 100, "-q",
                   "setrange", "range:__rand_int__", "5", "tail", seconds=60)
        self.assertNotIn(b"rror", done.stderr + done.stdout)
        with self.server.connect() as connection:
            self.assertEqual(b"\0\0\0\0\0tail", connection("GET", "range:000000000042"))


if __name__ == "__main__":
    harness.need_programs("redis-benchmark")
    harness.main(seconds=100)
