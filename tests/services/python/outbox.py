"""Letters that are posted a little later: POST /letters/NAME stores a letter, a worker posts it. http.server and pymongo.

MODE=fixed   the worker takes each letter before it posts it
MODE=double  two workers post what they find, and note it afterwards
EVERY        seconds between two rounds of a worker
"""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pymongo import MongoClient

FIXED = os.environ.get("MODE") == "fixed"
EVERY = float(os.environ.get("EVERY", "0.05"))
database = MongoClient(os.environ["MONGO_URL"], maxPoolSize=50).get_default_database()
letters, posted = database["letters"], database["posted"]


def post(letter):
    posted.insert_one({"letter": letter["_id"], "name": letter["name"]})


def work():
    while True:
        if FIXED:
            while letter := letters.find_one_and_update({"state": "new"}, {"$set": {"state": "taken"}}):
                post(letter)
        else:
            for letter in list(letters.find({"state": "new"})):
                post(letter)
                letters.update_one({"_id": letter["_id"]}, {"$set": {"state": "taken"}})
        time.sleep(EVERY)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.send(200, {"ok": True})

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = self.path.removeprefix("/letters/")
        stored = letters.insert_one({"name": name, "state": "new"})
        self.send(201, {"id": str(stored.inserted_id)})

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


for _ in range(1 if FIXED else 2):
    threading.Thread(target=work, daemon=True).start()
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
