"""Three small services in one: Python's own HTTP server, a thread per connection, and MongoDB's synchronous driver.
MODE=fixed is the code after its fixes. The same services in Go: ../go/main.go.

POST /seats/SEAT        {"who": …}   books a seat; 409 if it is taken
POST /invoices/COMPANY  {"for": …}   the company's next invoice, numbered without gaps
POST /orders/ORDER                   an order, whose event waits in an outbox
POST /outbox/ORDER                   sends what waits, as a job on each instance does
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pymongo import MongoClient, ReturnDocument
from pymongo.errors import DuplicateKeyError

FIXED = os.environ.get("MODE") == "fixed"
database = MongoClient(os.environ["MONGO_URL"], maxPoolSize=100).get_default_database()


def seats(seat, body):
    if database.bookings.find_one({"seat": seat}):
        return 409, {"error": "taken"}
    try:
        booked = database.bookings.insert_one({"seat": seat, "who": body["who"]})
    except DuplicateKeyError:
        return 409, {"error": "taken"}
    return 201, {"id": str(booked.inserted_id)}


def next_number(company):
    while True:
        try:
            one = {"$inc": {"next": 1}}
            after = ReturnDocument.AFTER
            return database.counters.find_one_and_update({"_id": company}, one, upsert=True, return_document=after)["next"]
        except DuplicateKeyError:
            pass  # the loser of the race to create the counter finds it the second time


def invoices(company, body):
    if FIXED:
        number = next_number(company)
    else:
        last = database.invoices.find_one({"company": company}, sort=[("number", -1)])
        number = last["number"] + 1 if last else 1
    database.invoices.insert_one({"company": company, "number": number, "for": body["for"]})
    return 201, {"number": f"INV-{number:05}"}


def orders(order, _):
    database.outbox.insert_one({"order": order, "state": "new"})
    return 201, {"order": order}


def outbox(order, _):
    if FIXED:
        taken = database.outbox.find_one_and_update({"order": order, "state": "new"}, {"$set": {"state": "taken"}})
        events = [taken] if taken else []
    else:
        events = list(database.outbox.find({"order": order, "state": "new"}))
    for event in events:
        database.sent.insert_one({"event": str(event["_id"]), "order": order})
        database.outbox.update_one({"_id": event["_id"]}, {"$set": {"state": "sent"}})
    return 200, {"sent": len(events)}


ROUTES = {"seats": seats, "invoices": invoices, "orders": orders, "outbox": outbox}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(200, {"ok": True})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        _, route, name = self.path.split("/")
        try:
            self.answer(*ROUTES[route](name, body))
        except Exception as error:  # whatever went wrong is told to the caller
            self.answer(500, {"error": str(error)})

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


if FIXED:
    database.bookings.create_index("seat", unique=True)
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
