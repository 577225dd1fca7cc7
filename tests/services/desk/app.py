"""Letters that a worker beside the web process signs. ROLE says which of the two this is; both use one database.

    GET  /desk           who signs
    POST /letters/KEY    a letter, once
"""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError

DESK = os.environ["DESK"]
letters = MongoClient(os.environ["MONGO_URL"]).get_default_database()["letters"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(200, {"desk": DESK})

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            letters.insert_one({"key": self.path.rsplit("/", 1)[1]})
            self.answer(201, {})
        except DuplicateKeyError:
            self.answer(409, {"error": "there is one"})

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


def sign():
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    while not stop.wait(0.02):
        letters.update_many({"signed": {"$exists": False}}, {"$set": {"signed": DESK}})


if os.environ["ROLE"] == "worker":
    sign()
else:
    letters.create_index("key", unique=True)
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
