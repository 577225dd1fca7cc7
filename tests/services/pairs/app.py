"""Small routes, each with a race (MODE=buggy) and without (MODE=fixed): FastAPI with MongoDB's asynchronous driver.

POST /prepare/KEY makes what the routes expect to be there; POST /ROUTE/KEY is one of the functions below.
"""

import os
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import JSONResponse
from pymongo import AsyncMongoClient, ReturnDocument
from pymongo.errors import DuplicateKeyError, OperationFailure

import noise

BUGGY = os.environ.get("MODE") != "fixed"
client = AsyncMongoClient(os.environ["MONGO_URL"])
db = client.get_default_database()
routes = {}


@asynccontextmanager
async def life(_):
    await db.accounts.create_index("email", unique=True)
    for name in ("wallets", "transfers", "orders", "stock", "jobs", "locks", "seen"):
        await db.create_collection(name)
    yield


app = FastAPI(lifespan=life)


def route(function):
    routes[function.__name__] = function
    return function


@app.get("/health")
async def health():
    return {}


@app.post("/prepare/{key}")
async def prepare(key: str):
    await db.coupons.update_one({"_id": key}, {"$setOnInsert": {"left": 1}}, upsert=True)
    await db.threads.update_one({"_id": key}, {"$setOnInsert": {"unread": 0}}, upsert=True)
    await db.profiles.update_one({"_id": key}, {"$setOnInsert": {"name": "", "city": ""}}, upsert=True)
    await db.polls.update_one({"_id": key}, {"$setOnInsert": {"votes": 0, "voters": []}}, upsert=True)
    await db.stock.update_one({"_id": key}, {"$setOnInsert": {"left": 3}}, upsert=True)
    for side in "ab":
        await db.wallets.update_one({"_id": key + side}, {"$setOnInsert": {"owner": key, "cents": 50}}, upsert=True)
    for number in (1, 2):
        await db.places.update_one({"_id": f"{key}-{number}"}, {"$setOnInsert": {"hall": key, "free": True}}, upsert=True)
    return {}


@app.post("/{name}/{key}")
async def call(name: str, key: str, later: BackgroundTasks):
    try:
        status, body = await noise.ROUTES[name](db, key, later) if name in noise.ROUTES else await routes[name](key)
    except Exception as error:
        status, body = 500, {"error": type(error).__name__}
    return JSONResponse(body, status, background=later)


@route
async def redeem(key):
    """Check, then act: a coupon that may be used once."""
    if BUGGY:
        if (await db.coupons.find_one({"_id": key}))["left"] < 1:
            return 409, {"error": "used"}
        await db.coupons.update_one({"_id": key}, {"$inc": {"left": -1}})
        return 200, {"ok": True}
    found = await db.coupons.find_one_and_update({"_id": key, "left": {"$gt": 0}}, {"$inc": {"left": -1}})
    return (200, {"ok": True}) if found else (409, {"error": "used"})


@route
async def send(key):
    """With `read`: the number of unread messages."""
    await db.messages.insert_one({"thread": key, "read": False})
    await db.threads.update_one({"_id": key}, {"$inc": {"unread": 1}})
    return 201, {}


@route
async def read(key):
    """With `send`: sets the number to zero, though a message may have come."""
    marked = await db.messages.update_many({"thread": key, "read": False}, {"$set": {"read": True}})
    change = {"$set": {"unread": 0}} if BUGGY else {"$inc": {"unread": -marked.modified_count}}
    await db.threads.update_one({"_id": key}, change)
    return 200, {}


@route
async def transfer(key):
    """With `balance`: the middle of two writes."""
    async with client.start_session() as session:
        async def both(session=None):
            await db.wallets.update_one({"_id": key + "a"}, {"$inc": {"cents": -10}}, session=session)
            await db.wallets.update_one({"_id": key + "b"}, {"$inc": {"cents": 10}}, session=session)
        await (both() if BUGGY else session.with_transaction(both))
    return 200, {}


@route
async def balance(key):
    return 200, {"cents": sum([wallet["cents"] async for wallet in db.wallets.find({"owner": key})])}


@route
async def account(key):
    """The loser is told the database's error."""
    if await db.accounts.find_one({"email": key}):
        return 409, {"error": "taken"}
    try:
        await db.accounts.insert_one({"email": key})
    except DuplicateKeyError:
        if BUGGY:
            raise
        return 409, {"error": "taken"}
    return 201, {"email": key}


@route
async def place(key):
    """The first free place."""
    if BUGGY:
        found = await db.places.find_one({"hall": key, "free": True}, sort=[("_id", 1)])
        if not found:
            return 409, {"error": "full"}
        await db.places.update_one({"_id": found["_id"]}, {"$set": {"free": False}})
        return 200, {"place": found["_id"]}
    found = await db.places.find_one_and_update({"hall": key, "free": True}, {"$set": {"free": False}}, sort=[("_id", 1)])
    return (200, {"place": found["_id"]}) if found else (409, {"error": "full"})


@route
async def job(key):
    """Must happen once a day."""
    if BUGGY:
        if await db.seen.find_one({"day": key}):
            return 200, {"ran": False}
        await db.seen.insert_one({"day": key})
    else:
        try:
            await db.seen.insert_one({"_id": key})
        except DuplicateKeyError:
            return 200, {"ran": False}
    await db.jobs.insert_one({"day": key})
    return 200, {"ran": True}


async def form(key, field):
    """A form: the whole document is written back."""
    if BUGGY:
        found = await db.profiles.find_one({"_id": key})
        await db.profiles.replace_one({"_id": key}, {**found, field: "new"})
    else:
        await db.profiles.update_one({"_id": key}, {"$set": {field: "new"}})
    return 200, {}


@route
async def name(key):
    return await form(key, "name")


@route
async def city(key):
    return await form(key, "city")


@route
async def invoice(key):
    """A sequence in a document of its own."""
    if BUGGY:
        found = await db.sequences.find_one({"_id": key})
        number = found["last"] + 1 if found else 1
        await db.sequences.update_one({"_id": key}, {"$set": {"last": number}}, upsert=True)
    else:
        after = ReturnDocument.AFTER
        found = await db.sequences.find_one_and_update({"_id": key}, {"$inc": {"last": 1}}, upsert=True, return_document=after)
        number = found["last"]
    await db.invoices.insert_one({"customer": key, "number": number})
    return 201, {"number": number}


@route
async def vote(key):
    """One vote each: looked up, then counted."""
    if BUGGY:
        if "ann" in (await db.polls.find_one({"_id": key}))["voters"]:
            return 409, {"error": "voted"}
        await db.polls.update_one({"_id": key}, {"$inc": {"votes": 1}, "$push": {"voters": "ann"}})
        return 200, {}
    one = {"_id": key, "voters": {"$ne": "ann"}}
    done = await db.polls.update_one(one, {"$inc": {"votes": 1}, "$push": {"voters": "ann"}})
    return (200, {}) if done.modified_count else (409, {"error": "voted"})


@route
async def order(key):
    """Two of three are left."""
    enough = {"_id": key, "left": {"$gte": 2}}
    if BUGGY:
        if not await db.stock.find_one(enough):
            return 409, {"error": "sold out"}
        await db.stock.update_one({"_id": key}, {"$inc": {"left": -2}})
    elif not (await db.stock.update_one(enough, {"$inc": {"left": -2}})).modified_count:
        return 409, {"error": "sold out"}
    await db.orders.insert_one({"sku": key, "count": 2})
    return 201, {}


@route
async def room(key):
    """Find or make, and answer which one it is."""
    if BUGGY:
        found = await db.rooms.find_one({"topic": key})
        made = None if found else await db.rooms.insert_one({"topic": key})
        return 200, {"room": str(found["_id"] if found else made.inserted_id)}
    try:
        await db.rooms.update_one({"_id": key}, {"$setOnInsert": {"open": True}}, upsert=True)
    except DuplicateKeyError:
        pass
    return 200, {"room": key}


@route
async def pay(key):
    """A conflict of two transactions, handed on."""
    async with client.start_session() as session:
        for _ in range(1 if BUGGY else 20):
            try:
                async with await session.start_transaction():
                    await db.wallets.update_one({"_id": key + "a"}, {"$inc": {"cents": -1}}, session=session)
                    await db.transfers.insert_one({"from": key}, session=session)
                return 200, {}
            except OperationFailure as error:
                if BUGGY or not error.has_error_label("TransientTransactionError"):
                    raise
    return 503, {}
