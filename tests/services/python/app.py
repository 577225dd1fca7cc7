"""A small booking service to practise on: http.server and pymongo.

POST /seats/NAME  {"who": ...}   books a seat, which one person may have
GET  /seats/NAME                 who has it
GET  /health

MODE=before checks and then inserts; MODE=fixed lets a unique index decide and answers the loser with 409.
"""

import json
import os

from pymongo import MongoClient
from pymongo.errors import CollectionInvalid, DuplicateKeyError, OperationFailure

from web import JsonHandler, serve

FIXED = os.environ.get("MODE") == "fixed"
database = MongoClient(os.environ["MONGO_URL"], maxPoolSize=100).get_default_database()
bookings = database["bookings"]


def book(seat, who):
    """The status and the body of the answer."""
    if not FIXED and bookings.find_one({"seat": seat}):
        return 409, {"error": "taken"}
    try:
        found = bookings.insert_one({"seat": seat, "who": who})
    except DuplicateKeyError:
        return 409, {"error": "taken"}
    return 201, {"booking": str(found.inserted_id)}


class Handler(JsonHandler):
    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, {"ok": True})
        seat = self.path.removeprefix("/seats/")
        found = [{"_id": str(booking["_id"]), "who": booking["who"]} for booking in bookings.find({"seat": seat})]
        return self.answer(200, {"bookings": found})

    def do_POST(self):
        body = json.loads(self.body())
        if body.get("die"):
            os._exit(3)
        self.answer(*book(self.path.removeprefix("/seats/"), body["who"]))


if __name__ == "__main__":
    try:
        database.create_collection("bookings")
    except (CollectionInvalid, OperationFailure):
        pass  # another instance was faster
    if FIXED:
        bookings.create_index("seat", unique=True)
    serve(Handler)
