"""A ledger: POST /entries/NAME writes an entry and its booking in one transaction. http.server and pymongo.

MODE=fixed  the collections are made at the start
MODE=lazy   the first requests make them, each in its transaction
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pymongo import MongoClient
from pymongo.errors import OperationFailure

client = MongoClient(os.environ["MONGO_URL"], maxPoolSize=50)
database = client.get_default_database()
if os.environ.get("MODE") == "fixed":
    for name in ("entries", "bookings"):
        database.create_collection(name)


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
        name = self.path.removeprefix("/entries/")
        try:
            with client.start_session() as session, session.start_transaction():
                entry = database.entries.insert_one({"name": name}, session=session)
                database.bookings.insert_one({"entry": entry.inserted_id}, session=session)
            self.send(201, {"id": str(entry.inserted_id)})
        except OperationFailure as error:
            self.send(500, {"error": str(error), "code": error.code})

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
