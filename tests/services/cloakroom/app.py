"""A cloakroom in memory: two guests who come together have one tag. It is correct unless told otherwise.

POST /login             who asks is named by the header X-Guest alone
POST /tags {"with": …}  the tag of the caller and another guest: 201 for a new one, 200 for one that exists
GET  /tags/OTHER        that tag, or 404

Arguments: the port, then how it behaves:
    own-number    every 15th request is refused with a number of the application's own, 112
    slow          half a second for each request
    once          whoever comes second is refused with 409, in the words of a database driver
    step-back     requests that meet on one pair are all refused with 409
    only-first    the tag is named only to whoever created it
    unnamed       requests that meet on one pair are answered without the tag, but for the one that created it
    null-first    whoever creates is answered without the tag
    graphql       requests that meet are answered with 200, no data, and the database's error
    garbled       requests that meet are answered with half a body
    stuck         lists of tags are never answered
    gone          reads are answered with 404 every other time, though the tag is there
"""

import http.server
import json
import socketserver
import sys
import threading
import time

HOW = set(sys.argv[2:])
lock, tags, busy, met, counted = threading.Lock(), {}, {}, set(), {"requests": 0, "reads": 0}
E11000 = "E11000 duplicate key error collection: cloakroom.tags index: pair_1 dup key"


class Desk(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def pair(self, other):
        return "_".join(sorted([self.headers.get("Authorization", "Bearer ?")[7:], other]))

    def do_GET(self):
        if self.path.startswith("/list/") and "stuck" in HOW:
            threading.Event().wait(600)
        if not self.path.startswith("/tags/"):
            return self.send(200, {"ok": True})
        with lock:
            counted["reads"] += 1
            tag = tags.get(self.pair(self.path.removeprefix("/tags/")))
            hidden = "gone" in HOW and counted["reads"] % 2 == 0
        return self.send(404, {}) if tag is None or hidden else self.send(200, {"tag": tag})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        if self.path == "/login":
            return self.send(200, {"token": self.headers.get("X-Guest", "?")})
        pair = self.pair(body["with"])
        with lock:
            counted["requests"] += 1
            number = counted["requests"]
            busy[pair] = busy.get(pair, 0) + 1
            if busy[pair] > 1:
                met.add(pair)
        time.sleep(0.5 if "slow" in HOW else 0.01)
        with lock:
            together = pair in met
            new = pair not in tags
            serve = not ("step-back" in HOW and together)
            tag = tags.setdefault(pair, f"tag-{len(tags):05}") if serve else None
            busy[pair] -= 1
        self.send(*self.answer(number, new, together, tag))

    def answer(self, number, new, together, tag):
        if "own-number" in HOW and number % 15 == 0:
            return 422, {"error": {"code": 112, "message": "one guest has no more than a hundred tags"}}
        if tag is None or ("once" in HOW and not new):
            return 409, {"error": E11000}
        if "graphql" in HOW and together and not new:
            return 200, {"data": {"tag": None}, "errors": [{"message": E11000}]}
        if "garbled" in HOW and together and not new:
            return 200, b'{"tag": "tag-'
        if ("unnamed" in HOW and together and not new) or ("only-first" in HOW and not new) or ("null-first" in HOW and new):
            return 200, {"done": True, "tag": None}
        return (201 if new else 200), {"tag": tag, "new": new}


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads, request_queue_size = True, 256


Server(("127.0.0.1", int(sys.argv[1])), Desk).serve_forever()
