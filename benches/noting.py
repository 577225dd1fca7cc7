"""A server for the benchmark `http`: it notes when the last byte of each request reached its socket.

The time is the kernel's own (SO_TIMESTAMPNS), so how fast this program reads is not part of it. Requests are told apart by
`?key=`; the answers of a key are sent when all of its requests are there. GET /spreads gives the time from the first to the
last of each key in microseconds, and forgets them.
"""

import json
import selectors
import socket
import struct
import sys

BURST = int(sys.argv[1])
TIMESTAMPNS = getattr(socket, "SO_TIMESTAMPNS", 35)
arrivals = {}
readers = selectors.DefaultSelector()


def answer(stream, body=b"{}"):
    stream.setblocking(True)
    stream.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    stream.setblocking(False)


def request(connection):
    """The path of the next whole request, taken off the buffer."""
    head, found, rest = connection["buffer"].partition(b"\r\n\r\n")
    if not found:
        return None
    lengths = [int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")]
    length = sum(lengths)
    if len(rest) < length:
        return None
    connection["buffer"] = rest[length:]
    return head.split(b" ")[1].decode()


def read(connection):
    stream = connection["stream"]
    data, ancillary, _, _ = stream.recvmsg(65536, 256)
    if not data:
        readers.unregister(stream)
        return stream.close()
    connection["buffer"] += data
    path = request(connection)
    if path is None:
        return
    if path == "/spreads":
        spreads = [(max(at for at, _ in noted) - min(at for at, _ in noted)) / 1000 for noted in arrivals.values()]
        arrivals.clear()
        return answer(stream, json.dumps(spreads).encode())
    if "?key=" not in path:
        return answer(stream)
    times = [struct.unpack("qq", value[:16]) for level, kind, value in ancillary if kind == TIMESTAMPNS]
    noted = arrivals.setdefault(path.split("?key=")[1], [])
    noted.append((times[-1][0] * 1_000_000_000 + times[-1][1], stream))
    if len(noted) == BURST:
        for _, waiting in noted:
            answer(waiting)


listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
listener.setsockopt(socket.SOL_SOCKET, TIMESTAMPNS, 1)
readers.register(listener, selectors.EVENT_READ)
print(listener.getsockname()[1], flush=True)
while True:
    for key, _ in readers.select():
        if key.fileobj is listener:
            stream, _ = listener.accept()
            stream.setsockopt(socket.SOL_SOCKET, TIMESTAMPNS, 1)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream.setblocking(False)
            readers.register(stream, selectors.EVENT_READ, {"stream": stream, "buffer": b""})
        else:
            try:
                read(key.data)
            except BlockingIOError:
                pass
            except ConnectionError:
                readers.unregister(key.fileobj)
                key.fileobj.close()
