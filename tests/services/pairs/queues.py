"""Waiting lines, each a document with a list: who comes writes the whole list back, and so does who is called first.

MODE=buggy writes what it read; MODE=fixed writes it if nobody else has. The very first one makes the document, in both safely:
the race is between two who find it there.
"""

import os

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pymongo import AsyncMongoClient
from pymongo.errors import DuplicateKeyError

BUGGY = os.environ.get("MODE") != "fixed"
client = AsyncMongoClient(os.environ["MONGO_URL"])
lines = client.get_default_database().lines
app = FastAPI()


async def replaced(line, people):
    """Writes the list back; true if it counts."""
    unchanged = {"_id": line["_id"]} if BUGGY else {"_id": line["_id"], "version": line["version"]}
    changed = {"$set": {"people": people}, "$inc": {"version": 1}}
    return (await lines.update_one(unchanged, changed)).matched_count == 1


@app.put("/lines/{name}")
async def come(name: str, request: Request):
    person = (await request.json())["person"]
    for _ in range(100):
        line = await lines.find_one({"_id": name})
        if line is None:
            try:
                await lines.insert_one({"_id": name, "version": 1, "people": [person]})
                return {"waiting": 1}
            except DuplicateKeyError:
                continue
        if await replaced(line, [*line["people"], person]):
            return {"waiting": len(line["people"]) + 1}
    return JSONResponse({"error": "busy"}, 503)


@app.delete("/lines/{name}/first")
async def call(name: str):
    for _ in range(100):
        line = await lines.find_one({"_id": name})
        if line is None or not line["people"]:
            return JSONResponse({"error": "nobody is there"}, 404)
        if await replaced(line, line["people"][1:]):
            return {"called": line["people"][0]}
    return JSONResponse({"error": "busy"}, 503)
