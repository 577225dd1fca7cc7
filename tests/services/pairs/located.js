// Who asks is told where things are, in `Location` and nowhere else; and what is sent must have its form. Express and the driver.
//
// MODE=fixed  an index decides, and everybody is told what was kept
// MODE=buggy  the service looks first
const express = require('express');
const { MongoClient, ObjectId } = require('mongodb');

const buggy = process.env.MODE !== 'fixed';

async function main() {
  const client = await new MongoClient(process.env.MONGO_URL).connect();
  const [orders, phones, books] = ['orders', 'phones', 'books'].map((name) => client.db().collection(name));
  await orders.createIndex({ cart: 1 }, { unique: true });
  if (!buggy) await phones.createIndex({ phone: 1 }, { unique: true });
  if (!buggy) await books.createIndex({ isbn: 1 }, { unique: true });
  const app = express();
  app.use(express.json());
  const route = (work) => (request, response) =>
    work(request, response).catch((error) => response.status(error.code === 11000 ? 409 : 500).json({ error: error.message }));
  app.get('/health', (_, response) => response.json({}));

  // The order of a cart has a code, which is drawn. All documents stay as they should be: only the answer can be wrong.
  app.post('/carts/:cart/checkout', route(async ({ params: { cart } }, response) => {
    const code = new ObjectId().toHexString();
    const write = (change) => {
      const once = () => orders.findOneAndUpdate({ cart }, change, { upsert: true, returnDocument: 'after' });
      return once().catch((error) => (error.code === 11000 ? once() : Promise.reject(error)));
    };
    let order = buggy ? await orders.findOne({ cart }) : await write({ $setOnInsert: { code, lines: 0 } });
    if (!order) {
      await write({ $set: { code, lines: 0 } });
      order = { code };
    }
    response.status(201).location(`http://shop.example/orders/${order.code}?new`).end();
  }));

  // A basket is known by its identifier alone, which nothing but `Location` has.
  app.post('/baskets', route(async ({ body: { owner } }, response) => {
    const { insertedId } = await client.db().collection('baskets').insertOne({ owner, lines: 0 });
    response.status(201).location(`/baskets/${insertedId}`).end();
  }));
  app.post('/baskets/:id/lines', route(async ({ params }, response) => {
    const [baskets, _id] = [client.db().collection('baskets'), new ObjectId(params.id)];
    const basket = await baskets.findOne({ _id });
    if (!basket) return response.status(404).end();
    await baskets.updateOne({ _id }, buggy ? { $set: { lines: basket.lines + 1 } } : { $inc: { lines: 1 } });
    return response.status(204).end();
  }));

  // A number is a number: a word in its place is refused.
  app.post('/phones', route(async ({ body: { phone } }, response) => {
    if (!/^\+41 \d\d \d{3}-\d{4}$/.test(phone)) return response.status(400).json({ error: 'no telephone number' });
    if (buggy && (await phones.findOne({ phone }))) return response.status(409).json({ error: 'taken' });
    await phones.insertOne({ phone });
    return response.status(201).json({ phone });
  }));

  // No format is read: what stands between two signs is taken.
  app.post('/books', express.text({ type: 'application/xml' }), route(async ({ body }, response) => {
    const isbn = /<isbn>([\d-]{17})<\/isbn>/.exec(body)?.[1];
    if (!isbn) return response.status(422).end();
    if (buggy && (await books.findOne({ isbn }))) return response.status(409).end();
    await books.insertOne({ isbn });
    return response.status(201).end();
  }));
  app.listen(Number(process.env.PORT), '127.0.0.1');
}

main();
