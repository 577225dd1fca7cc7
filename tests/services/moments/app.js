// A ticket office whose promise depends on when something happens: on its clock, on what it does at its start, or on who comes
// first. Node.js with MongoDB's driver alone.
//
// PORT, MONGO_URL   where it listens, and its database
// MODE=racy         the same with its race
// MODE=upsert       the administrator is upserted by a field that no index covers
// MODE=index        what is made at a start is made once, and who comes second does not come up
const http = require('http');
const { MongoClient } = require('mongodb');

const racy = process.env.MODE === 'racy';
const VALID = 30_000;

// A ticket is given out while no other is valid. Two instances agree on the time only if they ask one clock.
async function lease(db, key) {
  const leases = db.collection('leases');
  const free = { _id: key, until: new Date(0) };
  await leases.updateOne({ _id: key }, { $setOnInsert: free }, { upsert: true });
  const [isOver, again] = racy
    ? [{ until: { $lt: new Date() } }, { $set: { until: new Date(Date.now() + VALID) } }]
    : [{ $expr: { $lt: ['$until', '$$NOW'] } }, [{ $set: { until: { $add: ['$$NOW', VALID] } } }]];
  return (await leases.updateOne({ _id: key, ...isOver }, again)).matchedCount > 0;
}

// Whoever signs up first is the administrator.
async function signUp(db, name) {
  const users = db.collection('users');
  const role = process.env.MODE === 'upsert' ? { role: 'admin' } : { _id: 'admin' };
  const isFirst = racy
    ? (await users.estimatedDocumentCount()) === 0
    : (await db.collection('roles').updateOne(role, { $setOnInsert: { name } }, { upsert: true })).upsertedCount > 0;
  await users.insertOne({ name, admin: isFirst });
}

// Long enough for the other instance to look as well, on a machine that is busy.
const othersLook = () => new Promise((done) => setTimeout(done, 300));

// What is to be there before the first ticket is given out.
async function prepare(db) {
  const rates = db.collection('rates');
  const normal = { name: 'normal', price: 7 };
  if (process.env.MODE === 'index') {
    await rates.createIndex({ name: 1 }, { unique: true });
    if (await rates.findOne({ name: 'normal' })) return;
    await othersLook();
    return void (await rates.insertOne(normal));
  }
  if (!racy) return void (await rates.updateOne({ _id: 'normal' }, { $setOnInsert: normal }, { upsert: true }));
  if (await rates.findOne({ name: 'normal' })) return;
  await othersLook();
  await rates.insertOne(normal);
}

async function main() {
  const client = await MongoClient.connect(process.env.MONGO_URL);
  const db = client.db();
  await prepare(db);

  async function answer(path) {
    if (path[0] === 'users') {
      await signUp(db, path[1]);
      return [201, { ok: true }];
    }
    if (path[0] !== 'tickets') return [200, { ok: true }];
    if (!(await lease(db, path[1]))) return [409, { error: 'another ticket is valid' }];
    const { insertedId } = await db.collection('tickets').insertOne({ key: path[1] });
    return [201, { id: insertedId }];
  }

  http
    .createServer(async (request, response) => {
      request.resume();
      const [status, body] = await answer(request.url.split('/').slice(1)).catch((error) => [500, { error: error.message }]);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    })
    .listen(Number(process.env.PORT), '127.0.0.1');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
