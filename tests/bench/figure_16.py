"""figure_16.py - how long after its deadline a key is gone.

A million keys get deadlines that are spread evenly over some seconds. An observer asks DBSIZE all the
time: both servers count a key until it is removed, not until its deadline. When the k-th key is gone
is known from the first answer that has k keys less; its lag is that time less the k-th deadline, so
the time between two answers is in it. Nothing touches the keys: only the server's own expiry does.
"""

import shutil
import time

import bulk
import measure
from figure import FigureRow, say
from measure import HarnessError

LIMIT_MS = 50
OBSERVED_SECONDS_MAX = 180


def lag_p99_ms(server, keys, begin_after_s, over_s):
    begin_ms = int((time.time() + begin_after_s) * 1000)
    deadlines = [begin_ms + number * over_s * 1000 // keys for number in range(keys)]
    bulk.send(server, (bulk.set_command(n, deadlines[n]) for n in range(keys)), keys)
    with server.connect() as connection:
        if time.time() * 1000 >= begin_ms or connection("DBSIZE") != keys:
            raise HarnessError(f"{server.name}: the keys were not written before the first deadline")
        lags = []
        until = time.monotonic() + begin_after_s + over_s + OBSERVED_SECONDS_MAX
        while len(lags) < keys and time.monotonic() < until:
            gone = keys - connection("DBSIZE")
            now_ms = time.time() * 1000
            lags += [now_ms - deadlines[k] for k in range(len(lags), gone)]
        if min(lags, default=0) < -1:  # a millisecond of rounding
            raise HarnessError(f"{server.name}: a key was gone {-min(lags):.0f} ms before its deadline")
        if len(lags) < keys:
            # Still there: late by at least this much.
            now_ms = time.time() * 1000
            lags += [now_ms - deadline for deadline in deadlines[len(lags):]]
    lags.sort()
    at = lambda part: lags[int(part * (len(lags) - 1))]
    say(f"figure 16: {server.name}: lag p50 {at(0.5):.1f} ms, p99 {at(0.99):.1f}, most {at(1):.1f}")
    return max(at(0.99), 0.1)


def run(arguments):
    keys, begin_after_s, over_s = (20_000, 3, 2) if arguments.short else (1_000_000, 40, 20)
    kvs = measure.MeasuredServer(*arguments.kvs_option, path=arguments.binary.absolute(), name="kvs")
    redis = measure.MeasuredServer(path=shutil.which(arguments.redis), name="redis")
    lags = {}
    for server in (kvs, redis):
        with server:
            lags[server.name] = lag_p99_ms(server, keys, begin_after_s, over_s)
    text = f"{keys} deadlines in {over_s} s: lag p99, ms"
    return [
        FigureRow("16", text, "limit", [lags["kvs"]], [LIMIT_MS], at_most=1.0),
        FigureRow("16", text, "Redis", [lags["kvs"]], [lags["redis"]], at_most=1.0),
    ]
