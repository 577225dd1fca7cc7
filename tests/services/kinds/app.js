// A market in which a stall belongs to a name, in the ways in which services of strangers are correct. KIND chooses one; each
// has its scenario beside this file. Node.js with MongoDB's driver alone.
//
// PORT, MONGO_URL   where it listens, and its database
// KIND              one of the kinds below
// MODE=racy         the same with its race, for the kinds that have one
const http = require('http');
const crypto = require('crypto');
const { MongoClient, ObjectId, Long, UUID } = require('mongodb');

const racy = process.env.MODE === 'racy';
const sha = (text) => crypto.createHash('sha256').update(text).digest('hex');
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const isDuplicate = (error) => error.code === 11000;

// The one stall of a filter, made if there is none. Whoever loses the race of two upserts finds it the second time.
async function stall(collection, filter, fields = {}, options = {}) {
  for (;;) {
    try {
      const found = await collection.findOneAndUpdate(
        filter,
        { $setOnInsert: fields },
        { upsert: true, returnDocument: 'after', includeResultMetadata: true, ...options },
      );
      return { document: found.value, created: !found.lastErrorObject.updatedExisting };
    } catch (error) {
      if (!isDuplicate(error)) throw error;
    }
  }
}

const unique = (name, ...fields) => (db) =>
  db.collection(name).createIndex(Object.fromEntries(fields.map((field) => [field, 1])), { unique: true });
const plainly = ({ document, created }) => [created ? 201 : 200, { id: document._id, created }];

// Creates once, and tells whoever comes second so.
async function onlyOnce(collection, document, refusal) {
  if (racy && (await collection.findOne(document))) return refusal(new Error('there is one'));
  try {
    const made = await collection.insertOne({ ...document });
    return [201, { id: made.insertedId }];
  } catch (error) {
    if (!isDuplicate(error)) throw error;
    return refusal(error);
  }
}

// Each kind: `start` prepares the database, `post` and `get` answer with [status, body, headers].
const creating = {
  envelope: {
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => {
      const { document, created } = await stall(db.collection('stalls'), { name: body.name });
      return [200, { status: 'ok', data: { item: { id: document._id }, isNew: created }, meta: { took: 3 } }];
    },
  },
  'header-session': {
    start: unique('stalls', 'name'),
    post: async ({ db, body, path, headers }) => {
      if (path[0] === 'session') return [200, { ticket: `t-${headers['x-trader']}` }];
      const name = [headers.authorization.slice('Bearer t-'.length), body.with].sort().join('+');
      return plainly(await stall(db.collection('stalls'), { name }));
    },
  },
  'own-numbers': {
    start: unique('stalls', 'name'),
    post: async ({ db, body, count }) => {
      if (count % 9 === 0) return [422, { error: { code: count % 2 ? 112 : 11000, text: 'the daily quota is used up' } }];
      return plainly(await stall(db.collection('stalls'), { name: body.name }));
    },
  },
  'refused-quoting': {
    start: (db) => racy || unique('stalls', 'name')(db),
    post: ({ db, body }) =>
      onlyOnce(db.collection('stalls'), { name: body.name }, (error) => [409, { error: error.message }]),
  },
  'refused-by-body': {
    start: unique('stalls', 'name'),
    post: ({ db, body }) =>
      onlyOnce(db.collection('stalls'), { name: body.name }, (error) => [200, { ok: false, error: error.message }]),
  },
  'foreign-documents': {
    start: async (db) => {
      await db.collection('stalls').insertMany([{ type: 'settings' }, { type: 'notice', text: 'open on Sundays' }]);
      await db.collection('stalls').createIndex({ name: 1 }, { unique: true, sparse: true });
    },
    post: async ({ db, body }) => {
      const answer = plainly(await stall(db.collection('stalls'), { name: body.name }));
      await db.collection('stalls').insertOne({ type: 'visit', at: new Date() });
      return answer;
    },
  },
  'many-types': {
    start: unique('things', 'type', 'name'),
    post: async ({ db, body }) => {
      await stall(db.collection('things'), { type: 'fee', name: body.name }, { cents: 500 });
      return plainly(await stall(db.collection('things'), { type: 'stall', name: body.name }));
    },
  },
  prefixed: {
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => plainly(await stall(db.collection('stalls'), { name: `stall:${body.name}` })),
  },
  hashed: {
    start: unique('stalls', 'digest'),
    post: async ({ db, body }) => plainly(await stall(db.collection('stalls'), { digest: sha(body.name) })),
  },
  dialled: {
    // A telephone number is all that it knows of a stall.
    start: (db) => racy || unique('stalls', 'phone')(db),
    post: async ({ db, body }) => {
      if (!/^\+\d+$/.test(body.phone)) return [422, { error: 'no telephone number' }];
      return onlyOnce(db.collection('stalls'), { phone: body.phone }, () => [409, { error: 'it is taken' }]);
    },
  },
  'upper-case': {
    start: (db) =>
      db.collection('stalls').createIndex({ name: 1 }, { unique: true, collation: { locale: 'en', strength: 2 } }),
    post: async ({ db, body, count }) => {
      // Whatever case it is asked for in, it is one stall, which is kept in capitals.
      const stalls = db.collection('stalls');
      const name = count % 2 ? body.name.toUpperCase() : body.name.toLowerCase();
      const find = () => stalls.findOne({ name }, { collation: { locale: 'en', strength: 2 } });
      const known = await find();
      if (known) return [200, { id: known._id }];
      const made = await stalls.insertOne({ name: name.toUpperCase() }).catch((error) => isDuplicate(error) || Promise.reject(error));
      return made === true ? [200, { id: (await find())._id }] : [201, { id: made.insertedId }];
    },
  },
  'two-fields': {
    start: unique('stalls', 'seller.one', 'seller.two'),
    post: async ({ db, body }) => {
      const [one, two] = [body.one, body.two].sort();
      return plainly(await stall(db.collection('stalls'), { 'seller.one': one, 'seller.two': two }));
    },
  },
  'list-of-two': {
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => {
      const sellers = [body.one, body.two].sort();
      return plainly(await stall(db.collection('stalls'), { name: sellers.join('|') }, { sellers }));
    },
  },
  'own-number-id': {
    start: unique('stalls', 'meta.name'),
    post: async ({ db, body }) => {
      const known = await db.collection('stalls').findOne({ 'meta.name': body.name });
      if (known) return [200, { stall: { no: known.ref.no } }];
      const next = await db
        .collection('numbers')
        .findOneAndUpdate({ _id: 'stall' }, { $inc: { last: 1 } }, { upsert: true, returnDocument: 'after' });
      const made = await stall(db.collection('stalls'), { 'meta.name': body.name }, { ref: { no: next.last } });
      return [made.created ? 201 : 200, { stall: { no: made.document.ref.no } }];
    },
  },
  'long-id': {
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => {
      const number = Long.fromString('9007199254740993').add(crypto.randomInt(2 ** 31)).mul(7);
      const { document } = await stall(db.collection('stalls'), { name: body.name }, { number }, { promoteLongs: false });
      return [200, { id: document.number.toString() }];
    },
  },
  'uuid-id': {
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => {
      const { document, created } = await stall(db.collection('stalls'), { name: body.name }, { _id: new UUID() });
      return [200, { id: document._id.toString(), created }];
    },
  },
  'extended-json': {
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => {
      const { document } = await stall(db.collection('stalls'), { name: body.name });
      return [200, { _id: { $oid: document._id.toString() }, name: body.name }];
    },
  },
  later: {
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => {
      // What is promised here is kept a while later.
      const _id = sha(body.name).slice(0, 24);
      const keep = () => stall(db.collection('stalls'), { name: body.name }, { _id: new ObjectId(_id) });
      setTimeout(() => keep().catch(console.error), Number(process.env.LATER || 400));
      return [202, { id: _id }];
    },
  },
  'counted-later': {
    start: unique('stalls', 'name'),
    post: async ({ db, path }) => {
      const count = () => stall(db.collection('stalls'), { name: path[1] }).then(() =>
        db.collection('stalls').updateOne({ name: path[1] }, { $inc: { likes: 1 } }));
      setTimeout(() => count().catch(console.error), Number(process.env.LATER || 400));
      return [202];
    },
  },
  // Answers write an identifier otherwise than it is stored.
  charges: {
    start: (db) => racy || unique('charges', 'name')(db),
    post: async ({ db, body }) => {
      const shown = (id) => (process.env.IDS === 'base64' ? Buffer.from(`charge:${id}`).toString('base64') : `ch_${id}`);
      const charges = db.collection('charges');
      const found = racy && (await charges.findOne({ name: body.name }));
      if (found) return [200, { id: shown(found._id) }];
      if (racy) return [201, { id: shown((await charges.insertOne({ name: body.name })).insertedId) }];
      const { document, created } = await stall(charges, { name: body.name });
      return [created ? 201 : 200, { id: shown(document._id) }];
    },
  },
  // Places that all names share: whoever comes when they are gone is refused, and rightly so. The racy one looks first.
  places: {
    start: async (db) => db.collection('halls').insertOne({ _id: 'hall', left: Number(process.env.PLACES || 100000) }),
    post: async ({ db }) => {
      const isFree = { _id: 'hall', left: { $gt: 0 } };
      if (racy && !(await db.collection('halls').findOne(isFree))) return [409, { error: 'full' }];
      const taken = await db.collection('halls').updateOne(racy ? { _id: 'hall' } : isFree, { $inc: { left: -1 } });
      return taken.modifiedCount ? [201] : [409, { error: 'full' }];
    },
  },
  // An address has one trader, however it is spelt. The index of the racy one tells spellings apart; the forgetful one loses some.
  spellings: {
    start: (db) => {
      const options = racy ? { unique: true } : { unique: true, collation: { locale: 'en', strength: 2 } };
      return db.collection('traders').createIndex({ mail: 1 }, options);
    },
    post: async ({ db, body }) => {
      const taken = [409, { error: 'taken' }];
      if (await db.collection('traders').findOne({ mail: body.mail }, { collation: { locale: 'en', strength: 2 } })) return taken;
      try {
        const made = await db.collection('traders').insertOne({ mail: body.mail });
        // Half of the addresses are lost a while after they were acknowledged.
        const isLost = process.env.MODE === 'forgetful' && sha(body.mail.toLowerCase()) < '8';
        if (isLost) setTimeout(() => db.collection('traders').deleteOne({ _id: made.insertedId }).catch(console.error), 30);
        return [201, { id: made.insertedId }];
      } catch (error) {
        if (!isDuplicate(error)) throw error;
        return taken;
      }
    },
  },
  queued: {
    // What is asked for is written down before the answer, and done a while later.
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => {
      const _id = sha(body.name).slice(0, 24);
      await db.collection('jobs').insertOne({ name: body.name });
      const work = () => stall(db.collection('stalls'), { name: body.name }, { _id: new ObjectId(_id) });
      setTimeout(() => work().catch(console.error), Number(process.env.LATER || 400));
      return [202, { id: _id }];
    },
  },
  'closes-connections': {
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => [...plainly(await stall(db.collection('stalls'), { name: body.name })), { connection: 'close' }],
  },
  slow: {
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => {
      await wait(150);
      const answer = plainly(await stall(db.collection('stalls'), { name: body.name }));
      await wait(150);
      return answer;
    },
  },
  touched: {
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => {
      const touch = { $setOnInsert: { since: new Date() }, $set: { seen: new Date() }, $inc: { visits: 1 } };
      for (;;) {
        try {
          const found = await db
            .collection('stalls')
            .findOneAndUpdate({ name: body.name }, touch, { upsert: true, returnDocument: 'after' });
          return [200, { stall: found }];
        } catch (error) {
          if (!isDuplicate(error)) throw error;
        }
      }
    },
  },
  'try-again': {
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => {
      const known = await db.collection('stalls').findOne({ name: body.name });
      if (known) return [200, { id: known._id }];
      // The loser is asked to come again, and does not.
      return onlyOnce(db.collection('stalls'), { name: body.name }, () => [409, { error: 'busy, try again' }]);
    },
  },
  'rate-limited': {
    start: unique('stalls', 'name'),
    post: async ({ db, body, count }) => {
      if (count % 5 === 0) return [429, { error: 'slow down' }, { 'retry-after': '1' }];
      return plainly(await stall(db.collection('stalls'), { name: body.name }));
    },
  },
  overloaded: {
    start: unique('stalls', 'name'),
    post: async ({ db, body, open }) => {
      if (open > 5) return [503, { error: 'too many at once' }];
      return plainly(await stall(db.collection('stalls'), { name: body.name }));
    },
  },
  transaction: {
    start: async (db) => {
      await unique('stalls', 'name')(db);
      await db.createCollection('fees');
    },
    post: async ({ db, client, body }) => {
      for (;;) {
        try {
          return await client.withSession((session) =>
            session.withTransaction(async () => {
              const known = await db.collection('stalls').findOne({ name: body.name }, { session });
              if (known) return [200, { id: known._id }];
              const made = await db.collection('stalls').insertOne({ name: body.name }, { session });
              await db.collection('fees').insertOne({ stall: made.insertedId, cents: 500 }, { session });
              return [201, { id: made.insertedId }];
            }),
          );
        } catch (error) {
          if (!isDuplicate(error)) throw error;
        }
      }
    },
  },
  tenant: {
    start: async (_, client) => unique('stalls', 'name')(client.db('onlyone_tenant_north')),
    post: async ({ client, body }) =>
      plainly(await stall(client.db('onlyone_tenant_north').collection('stalls'), { name: body.name })),
  },
  'in-a-street': {
    // A stall is known by its name within its street.
    start: unique('stalls', 'street.name', 'name'),
    post: async ({ db, body }) =>
      plainly(await stall(db.collection('stalls'), { 'street.name': body.street, name: body.name })),
  },
  'see-other': {
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => {
      const { document, created } = await stall(db.collection('stalls'), { name: body.name });
      return created ? [201, { id: document._id }] : [303, undefined, { location: `/stalls/${document._id}` }];
    },
  },
  'no-content': {
    start: unique('stalls', 'name'),
    put: async ({ db, path }) => [(await stall(db.collection('stalls'), { name: path[1] })).created ? 201 : 204],
  },
  graphql: {
    start: unique('stalls', 'name'),
    post: async ({ db, body }) => {
      const { document } = await stall(db.collection('stalls'), { name: body.variables.name });
      return [200, { data: { openStall: { id: document._id, message: 'welcome' } }, errors: null }];
    },
  },
  cached: {
    start: unique('stalls', 'name'),
    post: async ({ db, body, cache }) => {
      if (!cache.has(body.name)) {
        const { document } = await stall(db.collection('stalls'), { name: body.name });
        cache.set(body.name, document._id);
      }
      return [200, { id: cache.get(body.name) }, { etag: `"${body.name}"`, 'cache-control': 'max-age=60' }];
    },
    get: async ({ db, path, cache }) => {
      const known = cache.get(path[1]) ?? (await db.collection('stalls').findOne({ name: path[1] }))?._id;
      return known ? [200, { id: known }, { etag: `"${path[1]}"` }] : [404, { error: 'no such stall' }];
    },
  },
  'soft-deleted': {
    start: async (db) => {
      const living = { unique: true, partialFilterExpression: { closedAt: null } };
      await db.collection('stalls').createIndex({ name: 1 }, living);
    },
    post: async ({ db, body }) => {
      // Each name has had a stall before, which was closed.
      const closed = { name: body.name, closedAt: new Date(0) };
      await db.collection('stalls').updateOne(closed, { $set: closed }, { upsert: true });
      return plainly(await stall(db.collection('stalls'), { name: body.name, closedAt: null }));
    },
  },
  idempotent: {
    start: async (db) => {
      await unique('stalls', 'name')(db);
    },
    post: async ({ db, body, headers }) => {
      const key = headers['idempotency-key'];
      const past = await db.collection('answers').findOne({ _id: key });
      if (past) return past.answer;
      const { document } = await stall(db.collection('stalls'), { name: body.name });
      const answer = [200, { id: document._id.toString() }];
      await db.collection('answers').updateOne({ _id: key }, { $setOnInsert: { answer } }, { upsert: true }).catch(() => {});
      return answer;
    },
  },
  expiring: {
    start: async (db) => {
      await unique('stalls', 'name')(db);
      await db.collection('stalls').createIndex({ since: 1 }, { expireAfterSeconds: 3600 });
    },
    post: async ({ db, body }) =>
      plainly(await stall(db.collection('stalls'), { name: body.name }, { since: new Date() })),
  },
  held: {
    // A place is held for a while: with KEEP only so many of the newest are kept, whoever they belong to.
    start: async (db) => {
      if (!racy) await unique('places', 'place')(db);
      const [places, keep] = [db.collection('places'), Number(process.env.KEEP)];
      const tidy = async () => {
        const old = await places.find().sort({ at: -1 }).skip(keep).toArray();
        if (old.length > 0) await places.deleteMany({ _id: { $in: old.map((held) => held._id) } });
        setTimeout(tidy, 15);
      };
      if (keep > 0) tidy();
    },
    post: async ({ db, body }) => {
      const [places, { place }] = [db.collection('places'), body];
      const taken = [409, { error: 'this place is taken' }];
      if (racy && (await places.findOne({ place }))) return taken;
      try {
        return [201, { id: (await places.insertOne({ place, at: new Date() })).insertedId }];
      } catch (error) {
        if (!isDuplicate(error)) throw error;
        return taken;
      }
    },
  },
  'sign-up': {
    start: unique('traders', 'mail'),
    post: ({ db, body }) => {
      const mail = body.mail.trim().toLowerCase();
      return onlyOnce(db.collection('traders'), { mail }, () => [409, { error: 'this address has an account' }]);
    },
  },
  'step-back': {
    // Without the index everybody looks again after inserting, and steps back from what was there besides.
    start: (db) => racy || unique('stalls', 'name')(db),
    post: async ({ db, body }) => {
      const stalls = db.collection('stalls');
      const taken = [409, { error: 'taken' }];
      if (!racy) return onlyOnce(stalls, { name: body.name }, () => taken);
      if (await stalls.findOne({ name: body.name })) return taken;
      const made = await stalls.insertOne({ name: body.name });
      if ((await stalls.countDocuments({ name: body.name })) > 1) {
        await stalls.deleteOne({ _id: made.insertedId });
        return taken;
      }
      return [201, { id: made.insertedId }];
    },
  },
  'wide-filter': {
    start: unique('notes', 'note'),
    post: async ({ db, body }) => {
      for (let left = 3; ; left--) {
        try {
          const { note, by } = body;
          const update = [{ note, by }, { $set: { text: body.text } }, { upsert: true, returnDocument: 'after' }];
          return [200, { id: (await db.collection('notes').findOneAndUpdate(...update))._id }];
        } catch (error) {
          if (racy || !isDuplicate(error) || left === 0) throw error;
        }
      }
    },
  },
  'busy-log-in': {
    start: unique('stalls', 'name'),
    post: async ({ db, body, path, headers }) => {
      if (path[0] === 'session') {
        await db.collection('traders').updateOne({ _id: body.trader }, { $set: { seen: new Date() } }, { upsert: true });
        const made = await db.collection('sessions').insertOne({ trader: body.trader });
        return [200, { token: made.insertedId }];
      }
      const session = new ObjectId((headers.authorization || '').slice('Bearer '.length));
      if (!(await db.collection('sessions').findOne({ _id: session }))) return [401, { error: 'who are you?' }];
      return plainly(await stall(db.collection('stalls'), { name: body.name }));
    },
  },
};

const listing = {
  'diary-without-answers': {
    start: unique('diaries', 'of'),
    post: async ({ db, path, body }) => {
      const entry = { words: body.words, at: new Date() };
      const write = () =>
        db.collection('diaries').updateOne({ of: path[1] }, { $push: { 'pages.all': entry } }, { upsert: true });
      await write().catch((error) => (isDuplicate(error) ? write() : Promise.reject(error)));
      return [200, { written: true }];
    },
  },
  'talk-with-answers': {
    start: unique('talks', 'of'),
    post: async ({ db, path, body }) => {
      const entry = (role, text) => ({ role, text, meta: { op: body.op } });
      const both = [entry('user', body.text), entry('bot', `you said ${body.text}`)];
      const update = { $push: { entries: { $each: both } } };
      const write = () =>
        db.collection('talks').findOneAndUpdate({ of: path[1] }, update, { upsert: true, returnDocument: 'after' });
      const found = await write().catch((error) => (isDuplicate(error) ? write() : Promise.reject(error)));
      return [200, { talk: found._id }];
    },
  },
  'set-of-fans': {
    start: unique('stalls', 'name'),
    post: async ({ db, path, body }) => {
      const update = { $addToSet: { fans: body.who } };
      const add = () => db.collection('stalls').updateOne({ name: path[1] }, update, { upsert: true });
      await add().catch((error) => (isDuplicate(error) ? add() : Promise.reject(error)));
      return [200, { liked: true }];
    },
  },
  votes: {
    // The racy one writes all votes of a stall anew.
    start: (db) => racy || unique('votes', 'stall', 'by')(db),
    post: async ({ db, path, body }) => {
      const [votes, vote] = [db.collection('votes'), { stall: path[1], by: body.by }];
      if (!racy) return onlyOnce(votes, vote, () => [409, { error: 'you have voted' }]);
      const others = await votes.find({ stall: vote.stall }, { projection: { _id: 0 } }).toArray();
      await votes.deleteMany({ stall: vote.stall });
      await votes.insertMany([...others, vote]);
      return [201, {}];
    },
  },
  buckets: {
    start: (db) => db.collection('buckets').createIndex({ of: 1, full: 1 }),
    post: async ({ db, path, body }) => {
      // A bucket takes four; how many there are is of no matter. Who finds one open may write it back as it was read.
      const buckets = db.collection('buckets');
      if (racy) {
        const open = await buckets.findOne({ of: path[1], size: { $lt: 4 } });
        const entry = { op: body.op };
        if (!open) await buckets.insertOne({ of: path[1], size: 1, entries: [entry] });
        else {
          const { entries, size } = open;
          await buckets.updateOne({ _id: open._id }, { $set: { entries: [...entries, entry], size: size + 1 } });
        }
        return [200, { ok: true }];
      }
      const update = { $push: { entries: { op: body.op } }, $inc: { size: 1 } };
      await db.collection('buckets').updateOne({ of: path[1], size: { $lt: 4 } }, update, { upsert: true });
      return [200, { ok: true }];
    },
  },
  projects: {
    start: unique('projects', 'of', 'slot'),
    post: async ({ db, path }) => {
      // Three for each owner. Whoever only counts lets two in that both found room for one.
      const [projects, of] = [db.collection('projects'), path[1]];
      const full = [409, { error: 'three are all' }];
      if ((await projects.countDocuments({ of })) >= 3) return full;
      if (racy) return [201, { id: (await projects.insertOne({ of, slot: new ObjectId() })).insertedId }];
      for (const slot of [1, 2, 3]) {
        try {
          return [201, { id: (await projects.insertOne({ of, slot })).insertedId }];
        } catch (error) {
          if (!isDuplicate(error)) throw error;
        }
      }
      return full;
    },
  },
  drafts: {
    start: unique('drafts', 'name'),
    post: async ({ db, path }) => {
      // A draft is published or put away, once: two that both find one meet only where somebody has made it.
      const [drafts, name, what] = [db.collection('drafts'), path[1], path[2]];
      if (!what) return onlyOnce(drafts, { name, state: 'draft' }, () => [409, { error: 'there is one' }]);
      const is = racy ? await drafts.findOne({ name, state: 'draft' }) : true;
      const filter = racy ? { name } : { name, state: 'draft' };
      const done = is && (await drafts.updateOne(filter, { $set: { state: what } })).matchedCount;
      if (!done) return [404, { error: 'no such draft' }];
      if (what === 'published') await db.collection('feed').insertOne({ of: name });
      return [200, { ok: true }];
    },
  },
};

const counting = {
  'sharded-counter': {
    start: unique('counts', 'of', 'shard'),
    post: async ({ db, path, count }) => {
      const one = () =>
        db.collection('counts').updateOne({ of: path[1], shard: count % 4 }, { $inc: { n: 1 } }, { upsert: true });
      await one().catch((error) => (isDuplicate(error) ? one() : Promise.reject(error)));
      return [204];
    },
  },
  versioned: {
    start: unique('stalls', 'name'),
    post: async ({ db, path }) => {
      const stalls = db.collection('stalls');
      await stall(stalls, { name: path[1] }, { fans: 0, version: 0 });
      for (;;) {
        const { _id, fans, version } = await stalls.findOne({ name: path[1] });
        const same = racy ? { _id } : { _id, version };
        const done = await stalls.updateOne(same, { $set: { fans: fans + 1, version: version + 1 } });
        if (done.modifiedCount || racy) return [200, { id: _id, fans: fans + 1 }];
      }
    },
  },
  swept: {
    // All the time something else is done to the same collection; with SWEEP=alike, what requests do as well.
    start: async (db) => {
      const stalls = db.collection('stalls');
      const old = () => stalls.updateMany({ at: { $lt: new Date(Date.now() - 86_400_000) } }, { $set: { stale: true } });
      const alike = async () => {
        await stalls.findOne({ _id: 'nobody' });
        await stalls.updateOne({ _id: 'nobody' }, { $set: { fans: 1 } });
      };
      (async () => {
        for (;;) {
          await (process.env.SWEEP === 'alike' ? alike() : old());
          await wait(15);
        }
      })();
    },
    put: async ({ db, path }) => {
      await db.collection('stalls').insertOne({ _id: path[1], fans: 0, at: new Date() });
      return [201, { id: path[1] }];
    },
    post: async ({ db, path }) => {
      const [stalls, _id] = [db.collection('stalls'), path[1]];
      if (!racy) await stalls.updateOne({ _id }, { $inc: { fans: 1 } });
      else {
        const { fans } = await stalls.findOne({ _id });
        await stalls.updateOne({ _id }, { $set: { fans: fans + 1 } });
      }
      return [200, { ok: true }];
    },
  },
  quota: {
    start: unique('stalls', 'name'),
    post: async ({ db, path, body }) => {
      await stall(db.collection('stalls'), { name: path[1] }, { left: 3, who: [] });
      const free = { name: path[1], left: { $gt: 0 } };
      const done = await db.collection('stalls').updateOne(free, { $inc: { left: -1 }, $push: { who: body.who } });
      return done.modifiedCount ? [200, { yours: true }] : [409, { error: 'all gone' }];
    },
  },
  'numbers-with-gaps': {
    start: unique('receipts', 'of', 'no'),
    post: async ({ db, path, count }) => {
      const update = { $inc: { last: 1 } };
      const next = () =>
        db.collection('numbers').findOneAndUpdate({ _id: path[1] }, update, { upsert: true, returnDocument: 'after' });
      const { last } = await next().catch((error) => (isDuplicate(error) ? next() : Promise.reject(error)));
      if (count % 7 === 0) return [422, { error: 'the receipt was not wanted after all' }];
      await db.collection('receipts').insertOne({ of: path[1], no: last });
      return [201, { receipt: `R-${String(last).padStart(5, '0')}` }];
    },
  },
  'transfers': {
    start: async (db) => {
      await db.collection('purses').insertMany([{ _id: 'till', cents: 100000 }, { _id: 'bank', cents: 0 }]);
    },
    post: async ({ db, client }) => {
      await client.withSession((session) =>
        session.withTransaction(async () => {
          await db.collection('purses').updateOne({ _id: 'till' }, { $inc: { cents: -5 } }, { session });
          await db.collection('purses').updateOne({ _id: 'bank' }, { $inc: { cents: 5 } }, { session });
        }),
      );
      return [200, { moved: 5 }];
    },
  },
  'change-stream': {
    start: async (db) => {
      await db.createCollection('sales');
      await unique('ledger', 'sale')(db);
      const stream = db.collection('sales').watch([{ $match: { operationType: 'insert' } }]);
      stream.on('change', ({ fullDocument: sale }) =>
        db.collection('ledger').insertOne({ sale: sale._id, name: sale.name }).catch(console.error),
      );
      stream.on('error', console.error);
      // The stream is open once the server has answered its first request.
      await stream.tryNext?.call(stream).catch(() => {});
    },
    post: async ({ db, path }) => [201, { id: (await db.collection('sales').insertOne({ name: path[1] })).insertedId }],
  },
  'audit-rows': {
    start: unique('stalls', 'name'),
    post: async ({ db, path, headers }) => {
      const { document } = await stall(db.collection('stalls'), { name: path[1] });
      await db.collection('trail').insertOne({ at: new Date(), stall: document._id, by: headers['x-trader'] });
      return [200, { id: document._id }];
    },
  },
  'no-dedupe': {
    // Wrong, one request after another too.
    start: async () => {},
    post: async ({ db, path }) => [201, { id: (await db.collection('stalls').insertOne({ name: path[1] })).insertedId }],
  },
  'first-use': {
    // Nothing makes the collections ahead, unless told to.
    start: async (db) => racy || Promise.all(['entries', 'bodies'].map((name) => db.createCollection(name))),
    post: async ({ db, client, path, body }) => {
      const session = client.startSession();
      try {
        session.startTransaction();
        const made = await db.collection('entries').insertOne({ of: path[1], op: body.op }, { session });
        await db.collection('bodies').insertOne({ entry: made.insertedId }, { session });
        await session.commitTransaction();
        return [201, { id: made.insertedId }];
      } catch (error) {
        await session.abortTransaction().catch(() => {});
        throw error;
      } finally {
        await session.endSession();
      }
    },
  },
};

async function main() {
  const kind = { ...creating, ...listing, ...counting }[process.env.KIND];
  const client = await MongoClient.connect(process.env.MONGO_URL, { maxPoolSize: 50 });
  const db = client.db();
  await kind.start(db, client);
  const cache = new Map();
  let [count, open] = [0, 0];

  async function answer(request, response) {
    let text = '';
    for await (const chunk of request) text += chunk;
    const path = request.url.split('/').slice(1).map(decodeURIComponent);
    if (path[0] === 'health') return [200, { ok: true }];
    const handle = kind[request.method.toLowerCase()];
    if (!handle) return [405, { error: 'no such method' }];
    const body = text ? JSON.parse(text) : {};
    count += 1;
    open += 1;
    try {
      return await handle({ db, client, body, path, headers: request.headers, count, open, cache });
    } catch (error) {
      return [500, { error: error.message, code: error.code }];
    } finally {
      open -= 1;
    }
  }

  http
    .createServer(async (request, response) => {
      const [status, body, headers = {}] = await answer(request);
      if (body === undefined) return response.writeHead(status, headers).end();
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
    })
    .listen(Number(process.env.PORT), '127.0.0.1');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
