"""bulk.py - writes many keys through one connection as fast as Python can.

One thread sends, another counts replies, all of which must be "+OK": no reply is looked at by itself.
"""

import itertools
import threading

import measure
from measure import HarnessError

BATCH = 2000
OK = b"+OK\r\n"


def set_command(number, deadline_ms=None):
    """SET of the key with its value of the preload, as bytes."""
    key = measure.key_of(number)
    head = b"*3" if deadline_ms is None else b"*5"
    command = (b"%b\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"
               % (head, len(key), key, measure.VALUE_BYTES, measure.preloaded_value(number)))
    if deadline_ms is None:
        return command
    return command + b"$4\r\nPXAT\r\n$%d\r\n%d\r\n" % (len(b"%d" % deadline_ms), deadline_ms)


def send(server, commands, count):
    """Sends `count` commands, each of which must be answered with OK."""
    connection = server.connect(timeout=60)
    socket = connection.socket
    commands = iter(commands)

    def write():
        while batch := b"".join(itertools.islice(commands, BATCH)):
            socket.sendall(batch)

    sender = threading.Thread(target=write, daemon=True)
    sender.start()
    missing = count * len(OK)
    rest = b""
    while missing > 0:
        received = socket.recv(1 << 16)
        if not received:
            raise HarnessError(f"{server.name}: closed the connection of the bulk writer")
        missing -= len(received)
        rest += received
        whole = len(rest) // len(OK)
        if rest[:whole * len(OK)] != OK * whole:
            raise HarnessError(f"{server.name}: a SET failed: {rest[:200]!r}")
        rest = rest[whole * len(OK):]
    sender.join(timeout=10)
    connection.close()
