// How documents are kept: a collection for each tenant, writes that nobody waits for, buckets of measurements, what is one's own behind a
// log-in, lists in an order. Express and the driver.
//
// MODE=fixed  the database decides: it refuses a collection that is there, it counts itself
// MODE=buggy  the request looks first, and decides by what it saw
const express = require('express');
const { MongoClient } = require('mongodb');

const buggy = process.env.MODE !== 'fixed';
const NAMESPACE_EXISTS = 48;
const ROOM = 20;

async function main() {
  const client = await new MongoClient(process.env.MONGO_URL).connect();
  const db = client.db();
  const app = express();
  app.use(express.json());
  const route = (work) => (request, response) =>
    work(request, response).catch((error) => response.status(500).json({ error: error.message }));
  app.get('/health', (_, response) => response.json({}));

  // Each tenant has a collection of its own, which is called after it.
  app.post('/tenants', route(async ({ body }, response) => {
    const name = `tenant_${body.name.toLowerCase().replace(/[^a-z0-9]+/g, '_')}`;
    try {
      if (!buggy) await db.createCollection(name);
      else if ((await db.listCollections({ name }).toArray()).length) return response.status(409).end();
    } catch (error) {
      if (error.code === NAMESPACE_EXISTS) return response.status(409).end();
      throw error;
    }
    await db.collection(name).insertOne({ kind: 'settings', plan: body.plan });
    return response.status(201).json({ tenant: name });
  }));

  // Whoever counts visits does not wait for the database.
  const visits = db.collection('visits', { writeConcern: { w: 0 } });
  app.post('/pages/:page/visits', route(async ({ params: { page } }, response) => {
    const seen = buggy ? await visits.findOne({ _id: page }) : null;
    const change = buggy ? { $set: { count: (seen ? seen.count : 0) + 1 } } : { $inc: { count: 1 } };
    await visits.updateOne({ _id: page }, change, { upsert: true });
    response.json({ counted: true });
  }));

  // So many measurements in one document, then another one: two may begin one at once.
  app.post('/sensors/:sensor/values', route(async ({ params: { sensor }, body }, response) => {
    const change = { $push: { values: body.value }, $inc: { count: 1 } };
    await db.collection('series').updateOne({ sensor, count: { $lt: ROOM } }, change, { upsert: true });
    response.status(201).end();
  }));
  // Everybody has points of his own, by a token that his log-in gives him; likes are counted by the database in any mode.
  const accounts = db.collection('accounts');
  app.post('/login', route(async ({ body: { username, password } }, response) => {
    if (password !== 'secret') return response.status(401).end();
    await accounts.updateOne({ _id: username }, { $setOnInsert: { points: 0 } }, { upsert: true });
    return response.json({ token: Buffer.from(`token-of-${username}`).toString('base64') });
  }));
  app.post('/me/points', route(async (request, response) => {
    const token = Buffer.from((request.get('authorization') || '').slice('Bearer '.length), 'base64').toString();
    if (!token.startsWith('token-of-')) return response.status(401).end();
    const own = { _id: token.slice('token-of-'.length) };
    const change = buggy ? { $set: { points: (await accounts.findOne(own)).points + 5 } } : { $inc: { points: 5 } };
    await accounts.updateOne(own, change);
    return response.status(204).end();
  }));
  app.post('/posts/:post/likes', route(async ({ params: { post } }, response) => {
    await db.collection('posts').updateOne({ _id: post }, { $inc: { likes: 1 } }, { upsert: true });
    response.status(204).end();
  }));

  // A song is moved to the top of a playlist; in between it is in none.
  const playlists = db.collection('playlists');
  app.put('/playlists/:list', route(async ({ params: { list } }, response) => {
    await playlists.updateOne({ _id: list }, { $setOnInsert: { songs: ['a', 'b', 'c'] } }, { upsert: true });
    response.status(204).end();
  }));
  app.post('/playlists/:list/songs/:song/top', route(async ({ params: { list, song } }, response) => {
    const moved = { $concatArrays: [[song], { $filter: { input: '$songs', cond: { $ne: ['$$this', song] } } }] };
    const change = buggy ? { $pull: { songs: song } } : [{ $set: { songs: moved } }];
    const { matchedCount } = await playlists.updateOne({ _id: list, songs: song }, change);
    if (!matchedCount) return response.status(404).end();
    if (buggy) await playlists.updateOne({ _id: list }, { $push: { songs: { $each: [song], $position: 0 } } });
    return response.status(204).end();
  }));
  app.listen(process.env.PORT, '127.0.0.1');
}

main();
