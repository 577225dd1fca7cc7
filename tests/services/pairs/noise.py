"""Correct routes of FastAPI, and noisy: whatever changes from run to run here is nobody's fault."""

import asyncio
import base64
import hashlib
import json
import os
import random
import secrets
import time
import uuid
from datetime import datetime, timedelta, timezone

from pymongo.errors import DuplicateKeyError

ROUTES = {}


def route(function):
    ROUTES[function.__name__] = function
    return function


def now():
    return datetime.now(timezone.utc)


async def add(db, key):
    """An increment that tries again where two create the document at once."""
    while True:
        try:
            return await db.tallies.update_one({"_id": key}, {"$inc": {"n": 1}}, upsert=True)
        except DuplicateKeyError:
            await asyncio.sleep(random.random() / 500)


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@route
async def webtoken(db, key, _):
    """A web token, and the hash of it that is kept."""
    token = ".".join([part({"alg": "HS256"}), part({"sub": key, "iat": time.time(), "jti": secrets.token_hex(8)}), "c2ln"])
    await add(db, key)
    await db.tokens.insert_one({"user": key, "hash": hashlib.sha256(token.encode()).hexdigest()})
    return 200, {"token": token}


@route
async def pbkdf(db, key, _):
    """A password with a salt of its own."""
    salt = secrets.token_hex(4)
    made = hashlib.pbkdf2_hmac("sha256", b"x", salt.encode(), 1).hex()
    await add(db, key)
    await db.passwords.insert_one({"user": key, "salt": salt, "hash": f"pbkdf2:sha256:1${salt}${made}"})
    return 201, {}


@route
async def elapsed(db, key, _):
    """How long it took, as a number with a fraction and in words."""
    begin = time.perf_counter()
    await add(db, key)
    took = time.perf_counter() - begin
    return 200, {"took": took, "text": f"{took * 1000:.3f} ms"}


@route
async def background(db, key, later):
    """A task that runs when the answer is out."""
    await add(db, key)
    later.add_task(db.mails.insert_one, {"to": key, "at": now()})
    return 202, {}


@route
async def sampled(db, key, _):
    """A choice of things, in any order."""
    await add(db, key)
    things = [{"name": name, "price": price} for name, price in (("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5))]
    random.shuffle(things)
    return 200, {"things": things}


@route
async def lease(db, key, _):
    """A lease that ends at a moment with jitter."""
    until = now() + timedelta(seconds=30 + random.random() * 10)
    await add(db, key)
    await db.leases.insert_one({"key": key, "until": until, "owner": f"{os.getpid()}-{secrets.token_hex(3)}"})
    return 201, {"until": until.isoformat()}


@route
async def event(db, key, _):
    """An event with identifiers of two kinds that stand in each other."""
    mine = str(uuid.uuid4())
    await add(db, key)
    made = await db.happened.insert_one({"event": mine, "subject": key, "trace": secrets.token_urlsafe(9)})
    await db.index.insert_one({"of": made.inserted_id, "event": mine, "ref": f"evt_{mine}"})
    return 201, {"event": mine, "stored": str(made.inserted_id)}


@route
async def page(db, key, _):
    """What is there, read back after the write, of all keys."""
    await add(db, key)
    newest = await db.tallies.find().sort("_id", -1).limit(3).to_list()
    return 200, {"keys": len(newest), "total": await db.tallies.estimated_document_count()}
