// Small routes, each with a race (MODE=buggy) and without (MODE=fixed). Routes are named by what they do wrong.
const http = require('http');
const { MongoClient } = require('mongodb');
const crypto = require('crypto');
const buggy = process.env.MODE !== 'fixed';
const cache = new Map();
const later = (work) => setTimeout(() => work().catch(() => {}), 1);

const routes = (db) => {
  const c = (name) => db.collection(name);
  const conflict = (error) => error.code === 11000;
  return {
    // find, then insert
    async subscribe({ key }) {
      if (buggy) {
        if (await c('subscribers').findOne({ email: key })) return [200, { created: false }];
        await c('subscribers').insertOne({ email: key, at: new Date() });
        return [201, { created: true }];
      }
      try {
        await c('uniquesubscribers').insertOne({ _id: key, at: new Date() });
        return [201, { created: true }];
      } catch (error) { if (!conflict(error)) throw error; return [200, { created: false }]; }
    },
    // the loser is told the database's error
    async register({ key }) {
      if (await c('names').findOne({ _id: key })) return [409, { error: 'taken' }];
      try { await c('names').insertOne({ _id: key }); } catch (error) {
        if (buggy || !conflict(error)) throw error;
        return [409, { error: 'taken' }];
      }
      return [201, { name: key }];
    },
    // insert, look again, remove oneself
    async seat({ key }) {
      if (buggy) {
        const { insertedId } = await c('seats').insertOne({ seat: key });
        if (await c('seats').countDocuments({ seat: key }) > 1) { await c('seats').deleteOne({ _id: insertedId }); return [409, { error: 'taken' }]; }
        return [201, { ok: true }];
      }
      try { await c('seatsone').insertOne({ _id: key }); return [201, { ok: true }]; } catch (error) { if (!conflict(error)) throw error; return [409, { error: 'taken' }]; }
    },
    // count, then act
    async join({ key }) {
      if (buggy) {
        if (await c('members').countDocuments({ team: key }) >= 1) return [409, { error: 'full' }];
        await c('members').insertOne({ team: key });
        return [201, { ok: true }];
      }
      await c('teams').updateOne({ _id: key }, { $setOnInsert: { places: 1 } }, { upsert: true }).catch((error) => { if (!conflict(error)) throw error; });
      const { modifiedCount } = await c('teams').updateOne({ _id: key, places: { $gt: 0 } }, { $inc: { places: -1 } });
      return modifiedCount ? [201, { ok: true }] : [409, { error: 'full' }];
    },
    // balance, then withdrawal
    async withdraw({ key }) {
      await c('accounts').updateOne({ _id: key }, { $setOnInsert: { balance: 100 } }, { upsert: true });
      if (buggy) {
        const { balance } = await c('accounts').findOne({ _id: key });
        if (balance < 70) return [400, { error: 'too little' }];
        await c('accounts').updateOne({ _id: key }, { $set: { balance: balance - 70 } });
        return [200, { ok: true }];
      }
      const { modifiedCount } = await c('accounts').updateOne({ _id: key, balance: { $gte: 70 } }, { $inc: { balance: -70 } });
      return modifiedCount ? [200, { ok: true }] : [400, { error: 'too little' }];
    },
    // must happen once
    async webhook({ key }) {
      if (buggy) {
        const seen = await c('events').findOne({ _id: key });
        if (seen) return [200, { done: false }];
        await c('outbox').insertOne({ event: key });
        await c('events').updateOne({ _id: key }, { $set: { done: true } }, { upsert: true });
        return [200, { done: true }];
      }
      try { await c('events').insertOne({ _id: key }); } catch (error) { if (!conflict(error)) throw error; return [200, { done: false }]; }
      await c('outbox').insertOne({ event: key });
      return [200, { done: true }];
    },
    // lost update of a counter
    async like({ key }) {
      if (buggy) {
        const found = await c('posts').findOne({ _id: key });
        await c('posts').updateOne({ _id: key }, { $set: { likes: (found ? found.likes : 0) + 1 } }, { upsert: true });
      } else await c('posts').updateOne({ _id: key }, { $inc: { likes: 1 } }, { upsert: true });
      return [200, { ok: true }];
    },
    // lost update of a list
    async tag({ key, who }) {
      if (buggy) {
        const found = await c('items').findOne({ _id: key });
        await c('items').replaceOne({ _id: key }, { tags: [...(found ? found.tags : []), 'tag'] }, { upsert: true });
      } else await c('items').updateOne({ _id: key }, { $push: { tags: 'tag' } }, { upsert: true });
      return [200, { ok: true }];
    },
    // a form: the whole document is written back
    async profile({ key }) {
      if (buggy) {
        const found = (await c('profiles').findOne({ _id: key })) || { visits: 0 };
        await c('profiles').replaceOne({ _id: key }, { visits: found.visits + 1, theme: 'dark' }, { upsert: true });
      } else await c('profiles').updateOne({ _id: key }, { $set: { theme: 'dark' }, $inc: { visits: 1 } }, { upsert: true });
      return [200, { theme: 'dark' }];
    },
    // highest plus one
    async ticket({ key }) {
      if (buggy) {
        const last = await c('tickets').find({ queue: key }).sort({ number: -1 }).limit(1).next();
        const number = (last ? last.number : 0) + 1;
        await c('tickets').insertOne({ queue: key, number });
        return [201, { number }];
      }
      const queue = await c('queues').findOneAndUpdate({ _id: key }, { $inc: { last: 1 } }, { upsert: true, returnDocument: 'after' });
      await c('tickets').insertOne({ queue: key, number: queue.last });
      return [201, { number: queue.last }];
    },
    // an invoice number through all keys
    async invoice({ key }) {
      let number;
      if (buggy) {
        const last = await c('invoices').find().sort({ number: -1 }).limit(1).next();
        number = (last ? last.number : 1000) + 1;
      } else number = (await c('sequences').findOneAndUpdate({ _id: 'invoice' }, { $inc: { last: 1 } }, { upsert: true, returnDocument: 'after' })).last;
      await c('invoices').insertOne({ customer: key, number });
      return [201, { number }];
    },
    // statistics of all keys
    async visit({ key }) {
      await c('visits').insertOne({ page: key });
      if (buggy) {
        const all = await c('statistics').findOne({ _id: 'all' });
        await c('statistics').updateOne({ _id: 'all' }, { $set: { visits: (all ? all.visits : 0) + 1 } }, { upsert: true });
      } else await c('statistics').updateOne({ _id: 'all' }, { $inc: { visits: 1 } }, { upsert: true });
      return [201, { ok: true }];
    },
    // optimistic version, the loser's error handed on
    async edit({ key }) {
      await c('pages').updateOne({ _id: key }, { $setOnInsert: { version: 0, edits: 0 } }, { upsert: true });
      for (;;) {
        const page = await c('pages').findOne({ _id: key });
        const { modifiedCount } = await c('pages').updateOne({ _id: key, version: page.version }, { $inc: { version: 1, edits: 1 } });
        if (modifiedCount) return [200, { ok: true }];
        if (buggy) throw new Error('VersionError');
      }
    },
    // an error inside a 200
    async claim({ key }) {
      if (buggy) {
        if (await c('claims').findOne({ _id: key })) return [200, { mine: false }];
        try { await c('claims').insertOne({ _id: key }); } catch (error) { return [200, { error: 'E11000' }]; }
        return [200, { mine: true }];
      }
      const { upsertedCount } = await c('claims').updateOne({ _id: key }, { $setOnInsert: { at: new Date() } }, { upsert: true });
      return [200, { mine: upsertedCount === 1 }];
    },
    // upsert without an index
    async session({ key }) {
      if (buggy) await c('sessions').updateOne({ user: key }, { $setOnInsert: { at: new Date() } }, { upsert: true });
      else await c('sessions').updateOne({ _id: key }, { $setOnInsert: { at: new Date() } }, { upsert: true }).catch((error) => { if (!conflict(error)) throw error; });
      return [200, { ok: true }];
    },
    // stale cache
    async setting({ key }) {
      const { n } = await c('settings').findOneAndUpdate({ _id: key }, { $inc: { n: 1 } }, { upsert: true, returnDocument: 'after' });
      if (!buggy) return [200, { ok: true }];
      if (!cache.has(key)) { const fresh = await c('settings').findOne({ _id: key }); cache.set(key, fresh.n); }
      return [200, { cached: cache.get(key) }];
    },
  };
};

// Correct, and noisy: whatever changes from run to run here is nobody's fault.
const noise = (db) => {
  const c = (name) => db.collection(name);
  const inc = (key) => c('noisy').updateOne({ _id: key }, { $inc: { n: 1 } }, { upsert: true });
  return {
    async token({ key }) { await inc(key); return [200, { token: crypto.randomBytes(16).toString('hex') }]; },
    async salt({ key }) { const salt = crypto.randomBytes(6).toString('base64'); await c('salted').insertOne({ key, salt }); await inc(key); return [201, {}]; },
    async duration({ key }) { const begin = process.hrtime.bigint(); await inc(key); return [200, { tookUs: Number((process.hrtime.bigint() - begin) / 1000n) }]; },
    async shortid({ key }) { const id = Math.random().toString(36).slice(2, 9); await c('short').insertOne({ key, id, url: `/go/${id}` }); await inc(key); return [201, { id, url: `/go/${id}` }]; },
    async uuid({ key }) { const id = crypto.randomUUID(); await c('uuids').insertOne({ _id: id, key }); await inc(key); return [201, { id }]; },
    async lot({ key }) { await inc(key); return [200, { lang: ['en', 'fr', 'de'][Math.floor(Math.random() * 3)] }]; },
    async amount({ key }) { await inc(key); return [200, { amount: Math.floor(Math.random() * 1e6) }]; },
    async counter({ key }) { await inc(key); cache.set('#', (cache.get('#') || 0) + 1); return [200, { served: cache.get('#') }]; },
    async cached({ key }) { const hit = cache.has(`c${key}`); cache.set(`c${key}`, 1); await inc(key); return [200, { hit }]; },
    async readback({ key }) { await inc(key); return [200, await c('noisy').findOne({ _id: key })]; },
    async afterwards({ key }) { await inc(key); later(() => c('log').insertOne({ key, at: new Date() })); return [200, {}]; },
    async times({ key }) { await inc(key); return [200, { at: Date.now(), iso: new Date(), text: String(new Date()), s: Math.floor(Date.now() / 1000) }]; },
    async acl({ key }) { await c('acls').insertOne({ key, acl: { [Math.random().toString(36).slice(2)]: { read: true } } }); await inc(key); return [201, {}]; },
    async order({ key }) { await inc(key); return [200, { list: ['a', 'b', 'c', 'd'].sort(() => Math.random() - 0.5) }]; },
    async password({ key }) { await c('users').insertOne({ key, hash: `$2b$10$${crypto.randomBytes(40).toString('base64').replace(/[^a-z]/gi, 'x').slice(0, 53)}` }); await inc(key); return [201, {}]; },
    async count({ key }) { await inc(key); return [200, { all: await c('noisy').estimatedDocumentCount() }]; },
    async lastwins({ key }) { await c('last').updateOne({ _id: key }, { $set: { value: 'x' } }, { upsert: true }); return [200, {}]; },
    async log({ key }) { await inc(key); await c('audit').insertOne({ key, pid: process.pid, ms: performance.now() }); return [200, {}]; },
    async nested({ key }) { await c('nested').updateOne({ _id: key }, { $push: { events: { id: crypto.randomUUID(), at: new Date() } } }, { upsert: true }); return [200, {}]; },
    async ref({ key }) { const { insertedId } = await c('threads').insertOne({ key }); await c('messages').insertOne({ thread: insertedId, text: 'x' }); await inc(key); return [201, { thread: insertedId }]; },
  };
};

(async () => {
  const client = new MongoClient(process.env.MONGO_URL, { maxPoolSize: 20 });
  await client.connect();
  const all = { ...routes(client.db()), ...noise(client.db()) };
  http.createServer(async (request, response) => {
    const say = (status, body) => { response.writeHead(status, { 'content-type': 'application/json' }); response.end(JSON.stringify(body)); };
    try {
      const [, name, key] = new URL(request.url, 'http://x').pathname.split('/');
      if (name === 'health') return say(200, {});
      for await (const _ of request);
      if (!all[name]) return say(404, {});
      say(...await all[name]({ key }));
    } catch (error) { say(500, { error: error.message }); }
  }).listen(Number(process.env.PORT), '127.0.0.1');
})();
