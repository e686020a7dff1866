"""figure_06.py - memory beside key and value per key, and the resident set against Redis'.

Ten million keys of 16 bytes with values of 100 are written to each server, one server after the other
(together they would not leave room for the page cache). What the index takes is what the server says
(kvs_index_bytes of INFO); that it says the truth is shown by the resident set, which holds everything
else besides: buffers, code and the copies of values, which are a choice (--cache-size): hence once with
the default and once with a small cache.
"""

import shutil

import bulk
import measure
from figure import FigureRow, say
from measure import HarnessError

KEYS = 10_000_000
KEYS_SHORT = 100_000
KEY_BYTES = len(measure.key_of(0))
LIMIT_BYTES = 32
SMALL_CACHE = "--cache-size=32mb"


def info_field(server, section, field):
    with server.connect() as connection:
        for line in connection("INFO", section).decode().splitlines():
            if line.startswith(field + ":"):
                return int(line.split(":", 1)[1])
    raise HarnessError(f"{server.name}: INFO {section} has no {field}")


def run(arguments):
    keys = KEYS_SHORT if arguments.short else KEYS
    kvs, small_cache = (
        measure.MeasuredServer(*arguments.kvs_option, *more, path=arguments.binary.absolute(), name=name)
        for name, more in (("kvs", []), ("kvs, small cache", [SMALL_CACHE])))
    redis = measure.MeasuredServer(path=shutil.which(arguments.redis), name="redis",
                                   redis_options=["--auto-aof-rewrite-percentage", "0"])
    resident = {}
    beside_key = 0.0
    for server in (kvs, small_cache, redis):
        with server:
            before = server.rss_bytes()
            say(f"figure 6: {server.name}: writing {keys} keys")
            bulk.send(server, (bulk.set_command(n) for n in range(keys)), keys)
            server.wait_until_idle()
            measure.check_values(server, keys, overwritten=False)
            resident[server.name] = server.rss_bytes()
            say(f"figure 6: {server.name}: {resident[server.name] / 1e6:.0f} MB resident,"
                f" {before / 1e6:.0f} before")
            if server is kvs:
                beside_key = info_field(server, "memory", "kvs_index_bytes") / keys - KEY_BYTES
    return [
        FigureRow("6", f"index beside key and value, {keys} keys, B/key", "limit", [beside_key],
                  [LIMIT_BYTES], at_most=1.0),
        FigureRow("6", f"resident set, {keys} keys with values of 100 B, MB", "Redis",
                  [resident["kvs"] / 1e6], [resident["redis"] / 1e6], at_most=0.25),
        FigureRow("6", f"the same with {SMALL_CACHE}, MB", "Redis",
                  [resident["kvs, small cache"] / 1e6], [resident["redis"] / 1e6], at_most=0.25),
    ]
