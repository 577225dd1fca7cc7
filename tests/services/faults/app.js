// Small routes that keep their promise as long as nothing breaks (MODE=buggy), and whatever breaks (MODE=fixed). Each is asked
// with a key, which is fresh, and the number of the operation, which stays the same when a request is delivered again.
const http = require('http');
const { MongoClient } = require('mongodb');
const buggy = process.env.MODE !== 'fixed';

const routes = (client, db) => {
  const c = (name) => db.collection(name);
  const unlessThere = (error) => { if (error.code !== 11000) throw error; };
  return {
    // What is stored under a key.
    async look({ key }) {
      return [200, { rooms: await c('rooms').countDocuments({ key }) }];
    },
    // A room is made, and its members are put into it afterwards.
    async room({ key, op }) {
      if (buggy) {
        const { insertedId } = await c('rooms').insertOne({ key, op });
        await c('rooms').updateOne({ _id: insertedId }, { $set: { members: ['ann', 'bob'] } });
      } else {
        await c('rooms').updateOne({ _id: `${key}/${op}` }, { $setOnInsert: { key, op, members: ['ann', 'bob'] } }, { upsert: true });
      }
      return [201, { ok: true }];
    },
    // Each delivery is logged, and counted: both run out.
    async metered({ key, op }) {
      await c('attempts').insertOne({ key, at: new Date() });
      await c('limits').updateOne({ _id: key }, { $inc: { asked: 1 }, $setOnInsert: { at: new Date() } }, { upsert: true });
      const room = buggy ? {} : { _id: `${key}/${op}` };
      await c('rooms').insertOne({ ...room, key, op }).catch(unlessThere);
      return [201, { ok: true }];
    },
    // The answer goes out before the letter is stored.
    async letter({ key, op }, answer) {
      const sender = await c('senders').findOne({ _id: key });
      const store = () => c('letters').updateOne({ _id: `${key}/${op}` }, { $setOnInsert: { key, known: !!sender } }, { upsert: true });
      if (buggy) {
        answer(201, { ok: true });
        await store();
      } else {
        await store();
        answer(201, { ok: true });
      }
    },
    // A visit is counted.
    async visit({ key, op }) {
      await c('pages').updateOne({ _id: key }, { $setOnInsert: { visits: 0, counted: [] } }, { upsert: true }).catch(unlessThere);
      if (buggy) await c('pages').updateOne({ _id: key }, { $inc: { visits: 1 } });
      else await c('pages').updateOne({ _id: key, counted: { $ne: op } }, { $inc: { visits: 1 }, $push: { counted: op } });
      return [200, { ok: true }];
    },
    // One payout at a time, under a lock.
    async payout({ key, op }) {
      try {
        await c('locks').insertOne({ _id: key, holder: op });
      } catch (error) {
        unlessThere(error);
        // Whoever was delivered again finds its own lock.
        if (buggy || !(await c('locks').findOne({ _id: key, holder: op }))) return [409, { error: 'locked' }];
      }
      await c('payouts').updateOne({ _id: `${key}/${op}` }, { $setOnInsert: { key, amount: 7 } }, { upsert: true });
      await c('locks').deleteOne({ _id: key, holder: op });
      return [201, { ok: true }];
    },
    // A task is done: its picture goes into the chat, and the task is marked. Whoever comes first, a webhook or the poller, does
    // it; who is delivered again goes on where it was.
    async deliver({ key, op }) {
      try {
        await c('tasks').insertOne({ _id: key, by: op });
      } catch (error) {
        unlessThere(error);
        const task = await c('tasks').findOne({ _id: key });
        if (task.by !== op || task.done) return [200, { ok: true }];
      }
      const picture = { mergeId: key, url: `/pictures/${key}` };
      if (buggy) {
        await c('chats').updateOne({ _id: key }, { $push: { pictures: picture } }, { upsert: true });
      } else {
        await c('chats').updateOne({ _id: key }, { $setOnInsert: { pictures: [] } }, { upsert: true });
        await c('chats').updateOne({ _id: key, 'pictures.mergeId': { $ne: key } }, { $push: { pictures: picture } });
      }
      await c('tasks').updateOne({ _id: key }, { $set: { done: true } });
      return [200, { ok: true }];
    },
    // Money goes into an account, once for each transfer: in a transaction, or in two steps.
    async transfer({ key, op }) {
      const step = async (session) => {
        const options = session ? { session } : {};
        if (await c('transfers').findOne({ _id: `${key}/${op}` }, options)) return;
        await c('transfers').insertOne({ _id: `${key}/${op}`, key }, options);
        await c('accounts').updateOne({ _id: `${key}/${op}` }, { $inc: { balance: 7 } }, { ...options, upsert: true });
      };
      if (buggy) await step(null);
      else await client.withSession((session) => session.withTransaction(() => step(session)));
      return [201, { ok: true }];
    },
    // An order and the word of it in one document, as an outbox; the relay tells the stock of it, and marks it as sent.
    async order({ key, op }) {
      const id = `${key}/${op}`;
      await c('orders').updateOne({ _id: id }, { $setOnInsert: { key, sent: false } }, { upsert: true });
      if (await c('orders').findOne({ _id: id, sent: false })) {
        if (buggy) await c('stocks').updateOne({ _id: key }, { $inc: { reserved: 1 } }, { upsert: true });
        else await c('stocks').updateOne({ _id: id }, { $setOnInsert: { key, reserved: 1 } }, { upsert: true });
        await c('orders').updateOne({ _id: id }, { $set: { sent: true } });
      }
      return [201, { ok: true }];
    },
    // A user is registered and read back, and registered again if not found: from a secondary, which may lag, or in a session
    // that waits for what it wrote (or from the primary, where MODE says so).
    async register({ key, op }) {
      const id = `${key}/${op}`;
      const once = async (options, read) => {
        await c('users').updateOne({ _id: id }, { $setOnInsert: { key, op } }, { upsert: true, ...options });
        const found = await c('users').findOne({ _id: id }, { ...options, ...read });
        if (!found) await c('users').insertOne({ key, op });
      };
      const anywhere = { readPreference: 'secondaryPreferred' };
      if (buggy) await once({}, process.env.MODE === 'primary' ? {} : anywhere);
      else await client.withSession({ causalConsistency: true }, (session) => once({ session }, { ...anywhere, readConcern: 'majority' }));
      return [201, { ok: true }];
    },
    // Who is there, as far as a secondary knows.
    async present({ key }) {
      const rooms = await c('rooms').find({ key }, { readPreference: 'secondary' }).toArray();
      return rooms.length ? [200, { rooms: rooms.length }] : [404, { error: 'none' }];
    },
    // Asks the primary and then a secondary; without a lag the second never knows less, in whatever order requests come.
    async behind({ key }) {
      const here = await c('rooms').find({ key }).toArray();
      const there = await c('rooms').find({ key }, { readPreference: 'secondary' }).toArray();
      return [200, { behind: there.length < here.length }];
    },
    // Two names of one route, as a webhook and a poller have them.
    webhook(asked) { return this.deliver(asked); },
    poll(asked) { return this.deliver(asked); },
  };
};

(async () => {
  const client = new MongoClient(process.env.MONGO_URL, { retryWrites: process.env.RETRY_WRITES !== 'no' });
  await client.connect();
  const db = client.db();
  for (const name of ['rooms', 'senders', 'letters', 'pages', 'locks', 'payouts', 'tasks', 'chats', 'transfers', 'accounts', 'starts', 'attempts', 'limits', 'orders', 'stocks', 'users']) {
    await db.createCollection(name).catch((error) => { if (error.codeName !== 'NamespaceExists') throw error; });
  }
  for (const name of ['attempts', 'limits']) await db.collection(name).createIndex({ at: 1 }, { expireAfterSeconds: 3600 });
  // Each start is told of.
  if (process.env.MODE === 'once' && (await db.collection('starts').findOne({}))) {
    console.error('started before');
    process.exit(1);
  }
  await db.collection('starts').insertOne({ at: new Date() });
  const all = routes(client, db);
  http.createServer(async (request, response) => {
    const answer = (status, body) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    const [, route, key, op] = request.url.split('/');
    if (route === 'health') return answer(200, {});
    try {
      const told = await all[route]({ key, op }, answer);
      if (told) answer(...told);
    } catch (error) {
      if (!response.headersSent) answer(500, { error: error.message });
    }
  }).listen(Number(process.env.PORT), '127.0.0.1');
})();
