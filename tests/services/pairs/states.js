// What goes through states: a job is claimed and then closed; what stands on what was made: lists on a board; and what is there a few
// times. Express and the driver.
//
// MODE=fixed  the state is part of the update's filter
// MODE=buggy  the last step reads the state, writes down what it did, and then the state
const express = require('express');
const { MongoClient, ObjectId } = require('mongodb');

const buggy = process.env.MODE !== 'fixed';

async function main() {
  const client = await new MongoClient(process.env.MONGO_URL).connect();
  const db = client.db();
  const app = express();
  const route = (work) => (request, response) =>
    work(request, response).catch((error) => response.status(500).json({ error: error.message }));
  app.get('/health', (_, response) => response.json({}));

  // What is in another state is not there.
  const jobs = db.collection('jobs');
  app.post('/jobs', route(async (_, response) => {
    const { insertedId } = await jobs.insertOne({ state: 'new' });
    response.status(201).json({ id: insertedId });
  }));
  app.post('/jobs/:id/claim', route(async ({ params }, response) => {
    const job = { _id: new ObjectId(params.id), state: 'new' };
    const { matchedCount } = await jobs.updateOne(job, { $set: { state: 'claimed' } });
    response.status(matchedCount ? 200 : 404).end();
  }));
  app.post('/jobs/:id/close', route(async ({ params }, response) => {
    const [job, closed] = [{ _id: new ObjectId(params.id), state: 'claimed' }, { $set: { state: 'closed' } }];
    const taken = buggy ? await jobs.findOne(job) : await jobs.findOneAndUpdate(job, closed);
    if (!taken) return response.status(404).end();
    await db.collection('reports').insertOne({ of: job._id });
    if (buggy) await jobs.updateOne({ _id: job._id }, closed);
    return response.status(200).end();
  }));

  // A card stands on a list, and that on a board: whoever archives a list twice has two events of it.
  const [boards, lists, events] = ['boards', 'lists', 'events'].map((name) => db.collection(name));
  const made = async (collection, document, response) =>
    response.status(201).json({ data: { id: (await collection.insertOne(document)).insertedId } });
  app.post('/boards', route((_, response) => made(boards, {}, response)));
  app.post('/boards/:board/lists', route(async ({ params }, response) => {
    const board = new ObjectId(params.board);
    return (await boards.findOne({ _id: board })) ? made(lists, { board }, response) : response.status(404).end();
  }));
  app.post('/boards/:board/lists/:list/archive', route(async ({ params }, response) => {
    const list = { _id: new ObjectId(params.list), board: new ObjectId(params.board) };
    const open = buggy ? await lists.findOne({ ...list, archived: null }) : await lists.findOneAndUpdate({ ...list, archived: null }, { $set: { archived: true } });
    if (!open) return response.status((await lists.findOne(list)) ? 409 : 404).end();
    if (buggy) await lists.updateOne(list, { $set: { archived: true } });
    await events.insertOne({ archived: list._id });
    return response.json({});
  }));
  // Whoever orders has the lines of the cart written down side by side, once there is a cart.
  const [carts, lines] = ['carts', 'lines'].map((name) => db.collection(name));
  app.put('/carts/:cart', route(async ({ params: { cart } }, response) => {
    await carts.updateOne({ _id: cart }, { $setOnInsert: { state: 'open' } }, { upsert: true });
    response.status(200).end();
  }));
  app.post('/carts/:cart/order', route(async ({ params: { cart } }, response) => {
    const [open, ordered] = [{ _id: cart, state: 'open' }, { $set: { state: 'ordered' } }];
    const taken = buggy ? await carts.findOne(open) : await carts.findOneAndUpdate(open, ordered);
    if (!taken) return response.status(404).end();
    await Promise.all([1, 2].map((line) => lines.insertOne({ cart, line })));
    if (buggy) await carts.updateOne({ _id: cart }, ordered);
    return response.status(200).end();
  }));

  // Three may take part.
  const [parties, guests] = ['parties', 'guests'].map((name) => db.collection(name));
  app.post('/parties/:party/guests', route(async ({ params: { party } }, response) => {
    const upsert = () => parties.updateOne({ _id: party }, { $setOnInsert: { left: 3 } }, { upsert: true });
    await upsert().catch((error) => (error.code === 11000 ? upsert() : Promise.reject(error)));
    const [free, less] = [{ _id: party, left: { $gt: 0 } }, { $inc: { left: -1 } }];
    const place = buggy ? await parties.findOne(free) : await parties.findOneAndUpdate(free, less);
    if (!place) return response.status(409).end();
    if (buggy) await parties.updateOne({ _id: party }, less);
    await guests.insertOne({ party });
    return response.status(201).end();
  }));
  app.listen(Number(process.env.PORT), '127.0.0.1');
}

main();
