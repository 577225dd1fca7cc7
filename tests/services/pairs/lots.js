// What a service draws by lot: one visitor in ten sees the new page, and hits are counted in one of three shards. Express and the
// driver.
//
// MODE=fixed  each write is one command
// MODE=buggy  a visitor is looked up first
const express = require('express');
const { MongoClient } = require('mongodb');

const buggy = process.env.MODE !== 'fixed';
const isTaken = (error) => error.code === 11000;

async function main() {
  const client = await new MongoClient(process.env.MONGO_URL).connect();
  const [visitors, shards] = ['visitors', 'shards'].map((name) => client.db().collection(name));
  if (!buggy) await visitors.createIndex({ visitor: 1 }, { unique: true });
  const app = express();
  app.get('/health', (_, response) => response.json({}));
  app.put('/visitors/:visitor', async (request, response) => {
    const { visitor } = request.params;
    const group = Math.random() < 0.1 ? 'new' : 'old';
    if (buggy) {
      const known = await visitors.findOne({ visitor });
      if (!known) await visitors.insertOne({ visitor, group });
      return response.json({ group: known ? known.group : group });
    }
    const seen = () =>
      visitors.findOneAndUpdate({ visitor }, { $setOnInsert: { group } }, { upsert: true, returnDocument: 'after' });
    const known = await seen().catch((error) => {
      if (!isTaken(error)) throw error;
      return seen();
    });
    return response.json({ group: known.group });
  });
  app.post('/counters/:counter/hits', async (request, response) => {
    const { counter } = request.params;
    const _id = `${counter}:${Math.floor(Math.random() * 3)}`;
    const hit = () => shards.updateOne({ _id }, { $inc: { hits: 1 }, $set: { counter } }, { upsert: true });
    await hit().catch((error) => {
      if (!isTaken(error)) throw error;
      return hit();
    });
    response.status(204).end();
  });
  app.listen(process.env.PORT, '127.0.0.1');
}

main();
