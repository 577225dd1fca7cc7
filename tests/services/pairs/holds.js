// Something is held for a while, and then confirmed or released, by a request that names what was held. Express and the driver.
//
// MODE=fixed  the state changes in one command, under the condition that it is held
// MODE=buggy  the state is read first
const express = require('express');
const { MongoClient, ObjectId } = require('mongodb');

const buggy = process.env.MODE !== 'fixed';

async function main() {
  const client = await new MongoClient(process.env.MONGO_URL).connect();
  const [holds, items] = ['holds', 'items'].map((name) => client.db().collection(name));
  const app = express();
  app.get('/health', (_, response) => response.json({}));
  app.post('/items/:item/hold', async (request, response) => {
    await items.updateOne({ _id: request.params.item }, { $inc: { held: 1 } }, { upsert: true });
    const { insertedId } = await holds.insertOne({ item: request.params.item, state: 'held' });
    response.status(201).json({ id: insertedId });
  });
  const ends = (state, change) => async (request, response) => {
    const _id = new ObjectId(request.params.id);
    let hold;
    if (buggy) {
      hold = await holds.findOne({ _id, state: 'held' });
      if (hold) await holds.updateOne({ _id }, { $set: { state } });
    } else {
      hold = await holds.findOneAndUpdate({ _id, state: 'held' }, { $set: { state } });
    }
    if (!hold) return response.status(404).json({ error: 'not held' });
    await items.updateOne({ _id: hold.item }, { $inc: change });
    return response.json({ state });
  };
  app.post('/holds/:id/confirm', ends('confirmed', { held: -1, sold: 1 }));
  app.post('/holds/:id/release', ends('released', { held: -1 }));
  // Events as they come, without end.
  app.get('/events', (_, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write('data: {}\n\n');
  });
  app.listen(process.env.PORT, '127.0.0.1');
}

main();
