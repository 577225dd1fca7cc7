"""Two small services in one: FastAPI with MongoDB's asynchronous driver. MODE=fixed is the code after its fixes.

POST /coupons                 {"uses": n}                a coupon that may be used n times
POST /coupons/{id}/redeem     {"who": …}                 409 once it is used up
POST /chats/{chat}/messages   {"to": …, "text": …}       a message, which its receiver has not read
"""

import os
from contextlib import asynccontextmanager

from bson import ObjectId
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pymongo import AsyncMongoClient, ReturnDocument
from pymongo.errors import DuplicateKeyError

FIXED = os.environ.get("MODE") == "fixed"
client = AsyncMongoClient(os.environ["MONGO_URL"])
database = client.get_default_database()


@asynccontextmanager
async def life(_):
    await database.unread.create_index("chat", unique=True)
    yield


app = FastAPI(lifespan=life)


@app.get("/health")
async def health():
    return {"ok": True}


@app.post("/coupons", status_code=201)
async def coupon(body: dict):
    made = await database.coupons.insert_one({"left": body["uses"], "by": []})
    return {"id": str(made.inserted_id)}


@app.post("/coupons/{coupon}/redeem")
async def redeem(coupon: str, body: dict):
    used_up = JSONResponse({"error": "used up"}, 409)
    one, use = {"_id": ObjectId(coupon)}, {"$inc": {"left": -1}, "$push": {"by": body["who"]}}
    if FIXED:
        after = await database.coupons.find_one_and_update({**one, "left": {"$gt": 0}}, use)
        return {"ok": True} if after else used_up
    found = await database.coupons.find_one(one)
    if found["left"] <= 0:
        return used_up
    await database.coupons.update_one(one, use)
    return {"ok": True}


@app.post("/chats/{chat}/messages")
async def message(chat: str, body: dict):
    await database.messages.insert_one({"chat": chat, "text": body["text"]})
    if FIXED:
        await add_unread(chat)
    else:
        found = await database.unread.find_one({"chat": chat})
        await set_unread(chat, found["unread"] + 1 if found else 1)
    return {"ok": True}


async def add_unread(chat):
    one = {"$inc": {"unread": 1}}
    try:
        await database.unread.find_one_and_update({"chat": chat}, one, upsert=True, return_document=ReturnDocument.AFTER)
    except DuplicateKeyError:
        await database.unread.update_one({"chat": chat}, one)


async def set_unread(chat, unread):
    value = {"$set": {"unread": unread}}
    try:
        await database.unread.update_one({"chat": chat}, value, upsert=True)
    except DuplicateKeyError:
        await database.unread.update_one({"chat": chat}, value)
