"""memory_limit.py - a server that has only so much memory, page cache included.

A cgroup would be the way, but making one needs rights that a benchmark need not have, and ulimit knows
nothing of the page cache. So the cache is bounded from outside: many times a second, what the server's
process and the cached pages of its files take together is compared with the limit, and what is above
goes from the page cache, in pieces that are chosen at random (POSIX_FADV_DONTNEED; dirty pages stay).
The kernel would choose better than at random, for every store alike.
"""

import ctypes
import mmap
import os
import random
import threading
import time

PAGE = mmap.PAGESIZE
CHUNK_BYTES = 1024 * 1024
PERIOD_SECONDS = 0.05
_LOWEST_BIT = bytes(byte & 1 for byte in range(256))

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


def cached_pages(path):
    """One byte per page of the file: 1 when the page cache has it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        if size == 0:
            return b""
        address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        if address in (None, ctypes.c_void_p(-1).value):
            raise OSError(ctypes.get_errno(), "mmap")
        try:
            pages = ctypes.create_string_buffer((size + PAGE - 1) // PAGE + 1)
            if _libc.mincore(address, size, pages) != 0:
                raise OSError(ctypes.get_errno(), "mincore")
            return pages.raw[:-1].translate(_LOWEST_BIT)
        finally:
            _libc.munmap(address, size)
    finally:
        os.close(descriptor)


class MemoryLimit:
    """Holds `server` (measure.MeasuredServer) at `limit_bytes` while the with-block runs."""

    def __init__(self, server, limit_bytes):
        self.server = server
        self.limit_bytes = limit_bytes
        self.most_bytes = 0   # seen right after a round
        self.rounds = 0
        self._random = random.Random(13)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.hold()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(timeout=10)

    def _files(self):
        return [path for path in self.server.directory.rglob("*") if path.is_file()]

    def hold(self):
        """One round; also what is left of the server's start and preload goes."""
        pages_of = {}
        for path in self._files():
            try:
                pages_of[path] = cached_pages(path)
            except FileNotFoundError:
                continue  # compacted away
        cached = sum(pages.count(1) for pages in pages_of.values()) * PAGE
        above = self.server.rss_bytes() + cached - self.limit_bytes
        if above > 0:
            per_chunk = CHUNK_BYTES // PAGE
            chunks = [(path, at) for path, pages in pages_of.items()
                      for at in range(0, len(pages), per_chunk) if 1 in pages[at:at + per_chunk]]
            self._random.shuffle(chunks)
            open_files = {}
            try:
                for path, at in chunks:
                    if above <= 0:
                        break
                    if path not in open_files:
                        try:
                            open_files[path] = os.open(path, os.O_RDONLY)
                        except FileNotFoundError:
                            continue
                    os.posix_fadvise(open_files[path], at * PAGE, CHUNK_BYTES, os.POSIX_FADV_DONTNEED)
                    dropped = pages_of[path][at:at + per_chunk].count(1) * PAGE
                    above -= dropped
                    cached -= dropped
            finally:
                for descriptor in open_files.values():
                    os.close(descriptor)
        self.rounds += 1
        self.most_bytes = max(self.most_bytes, cached + self.server.rss_bytes())

    def _run(self):
        while not self._stop.wait(PERIOD_SECONDS):
            self.hold()
