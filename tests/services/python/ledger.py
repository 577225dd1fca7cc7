"""A ledger: POST /entries/NAME writes an entry and its booking in one transaction. http.server and pymongo.

MODE=fixed  the collections are made at the start
MODE=lazy   the first requests make them, each in its transaction
"""

import os

from pymongo import MongoClient
from pymongo.errors import OperationFailure

from web import JsonHandler, serve

client = MongoClient(os.environ["MONGO_URL"], maxPoolSize=50)
database = client.get_default_database()
if os.environ.get("MODE") == "fixed":
    for name in ("entries", "bookings"):
        database.create_collection(name)


class Handler(JsonHandler):
    def do_POST(self):
        self.body()
        name = self.path.removeprefix("/entries/")
        try:
            with client.start_session() as session, session.start_transaction():
                entry = database.entries.insert_one({"name": name}, session=session)
                database.bookings.insert_one({"entry": entry.inserted_id}, session=session)
            self.answer(201, {"id": str(entry.inserted_id)})
        except OperationFailure as error:
            self.answer(500, {"error": str(error), "code": error.code})


serve(Handler)
