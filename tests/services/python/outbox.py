"""Letters that are posted a little later: POST /letters/NAME stores a letter, a worker posts it. http.server and pymongo.

MODE=fixed   the worker takes each letter before it posts it
MODE=double  two workers post what they find, and note it afterwards
EVERY        seconds between two rounds of a worker
LINGER       seconds that every other answer takes after its letter is stored
"""

import itertools
import os
import threading
import time

from pymongo import MongoClient

from web import JsonHandler, serve

FIXED = os.environ.get("MODE") == "fixed"
EVERY = float(os.environ.get("EVERY", "0.05"))
LINGER = float(os.environ.get("LINGER") or "0")
lingering = itertools.cycle([False, True])
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


class Handler(JsonHandler):
    def do_POST(self):
        self.body()
        name = self.path.removeprefix("/letters/")
        stored = letters.insert_one({"name": name, "state": "new"})
        if next(lingering):
            time.sleep(LINGER)
        self.answer(201, {"id": str(stored.inserted_id)})


for _ in range(1 if FIXED else 2):
    threading.Thread(target=work, daemon=True).start()
serve(Handler)
