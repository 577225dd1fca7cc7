// Small services in one, as strangers write them: Express, and MongoDB by Mongoose. MODE chooses between the code before its
// fixes and after them.
//
//   POST  /api/v2/workspaces           { workspace: { title } }   creates, or gives back; the identifier lies deep in the answer
//   PUT   /devices/:serial             { model }                  registers a device, or gives back what is there
//   POST  /newsletter                  email=…                    a form; 409 if the address is there
//   POST  /graphql                     { query, variables }       subscribe(handle); claim(name), which is refused with 200
//   POST  /session, /lockers/:number                              logs in; then X-Token says who takes the locker
//   POST  /shop/v1/baskets/:b/lines    { article }                a router within a router
//   POST  /auth/register, /auth/login                             by an address; only who signed up can log in
//   POST  /tables/:name/reservations                              with their token
//   POST  /payments                    { amount }                 once per Idempotency-Key
//   POST  /vouchers                    { code }                   somebody issues it, then
//   POST  /vouchers/:code/redemptions  { by }                     it is redeemed once
//   POST  /posts                       { text }                   the service makes up its identifier, then
//   POST  /posts/:id/pin                                          it is pinned once
//   POST  /rooms/:room/bookings        { by }                     in a transaction, which a standalone server has not

const express = require('express');
const mongoose = require('mongoose');

const fixed = process.env.MODE === 'fixed';
const keys = { workspaces: 'title', devices: 'serial', readers: 'email', fans: 'handle', lockers: 'number', baskets: 'basket',
  names: 'name', guests: 'email', reservations: 'table', payments: 'key',
  bookings: 'room', vouchers: 'code', redemptions: 'voucher', posts: 'text', pins: 'post' };
const loose = new mongoose.Schema({}, { strict: false, versionKey: false, autoIndex: false });
const models = Object.fromEntries(Object.keys(keys).map((name) => [name, mongoose.model(name, loose, name)]));
const isTaken = (error) => error.code === 11000;

/** The document of a key: found, or made of these fields. */
async function createOrGet(name, value, fields) {
  const one = { [keys[name]]: value };
  if (!fixed) {
    const found = await models[name].findOne(one).lean();
    return found ? [found, false] : [(await models[name].create({ ...one, ...fields })).toObject(), true];
  }
  const upsert = () => models[name].findOneAndUpdate(
    one, { $setOnInsert: fields }, { upsert: true, new: true, lean: true, includeResultMetadata: true });
  const { value: made, lastErrorObject: done } = await upsert().catch((error) => (isTaken(error) ? upsert() : Promise.reject(error)));
  return [made, !done.updatedExisting];
}

/** Makes the document of a key; none if there is one. */
async function createOnce(name, value, fields) {
  const one = { [keys[name]]: value };
  if (await models[name].exists(one)) return null;
  try {
    return (await models[name].create({ ...one, ...fields })).toObject();
  } catch (error) {
    if (isTaken(error)) return null;
    throw error;
  }
}

const app = express();
app.use(express.json(), express.urlencoded({ extended: false }));
const route = (handle) => (request, response, next) => handle(request, response).catch(next);

app.post('/api/v2/workspaces', route(async ({ body }, response) => {
  const [made, isNew] = await createOrGet('workspaces', body.workspace.title, { plan: 'free' });
  const attributes = { title: made.title, plan: made.plan };
  response.status(isNew ? 201 : 200).json({ data: { workspace: { attributes, meta: { ref: made._id } } }, errors: [] });
}));

app.put('/devices/:serial', route(async ({ params, body }, response) => {
  const [made, isNew] = await createOrGet('devices', params.serial, { model: body.model });
  response.json({ device: { _id: made._id, serial: made.serial }, registered: isNew });
}));

app.post('/newsletter', route(async ({ body }, response) => {
  const made = await createOnce('readers', body.email, { since: new Date() });
  response.status(made ? 201 : 409).json(made ? { reader: made._id } : { message: 'already subscribed' });
}));

app.post('/graphql', route(async ({ body }, response) => {
  const [, claimed] = /claim\(name:\s*"([^"]+)"/.exec(body.query) ?? [];
  if (claimed) {
    const made = await createOnce('names', claimed, {});
    if (!made) return response.json({ data: { claim: null }, errors: [{ message: 'taken', path: ['claim'] }] });
    return response.json({ data: { claim: { id: made._id } } });
  }
  const { handle } = body.variables;
  const [made, created] = await createOrGet('fans', handle, {});
  response.json({ data: { subscribe: { id: made._id, created } } });
}));

const tokens = new Map();
app.post('/session', (request, response) => {
  const token = `t-${tokens.size}-${Math.random()}`;
  tokens.set(token, request.body.login);
  response.status(201).json({ session: { token, expires: 3600 } });
});
app.post('/lockers/:number', route(async (request, response) => {
  const owner = tokens.get(request.get('x-token'));
  if (!owner) return response.status(401).json({ error: 'log in first' });
  const made = await createOnce('lockers', Number(request.params.number), { owner });
  response.status(made ? 201 : 409).json(made ? { locker: { id: made._id } } : { error: 'taken' });
}));

app.post('/auth/register', route(async ({ body }, response) => {
  if (!/^[^@]+@[^@]+\.[a-z]+$/.test(body.email)) return response.status(422).json({ message: 'no address' });
  const { name, email, password } = body;
  const seat = await models.guests.updateOne({ email }, { $setOnInsert: { name, password } }, { upsert: true });
  response.status(seat.upsertedCount ? 201 : 409).json({});
}));
app.post('/auth/login', route(async ({ body: { email, password } }, response) => {
  if (!(await models.guests.exists({ email, password }))) return response.status(401).json({ message: 'unknown' });
  const token = `g-${tokens.size}-${Math.random()}`;
  tokens.set(token, email);
  response.json({ access_token: token, token_type: 'Token' });
}));
app.post('/tables/:table/reservations', route(async (request, response) => {
  const guest = tokens.get((request.get('authorization') ?? '').replace('Token ', ''));
  if (!guest) return response.status(401).json({ message: 'log in first' });
  const made = await createOnce('reservations', request.params.table, { guest });
  response.status(made ? 201 : 409).json(made ? { id: made._id } : { message: 'reserved' });
}));

app.post('/payments', route(async (request, response) => {
  const [made, isNew] = await createOrGet('payments', request.get('idempotency-key'), { amount: request.body.amount });
  response.status(isNew ? 201 : 200).json({ payment: { id: made._id, amount: made.amount } });
}));

/** Marks what is there, once: whether this was the one, and none if it is not there. */
async function mark(model, one) {
  if (fixed) {
    if (await model.findOneAndUpdate({ ...one, open: true }, { open: false })) return true;
    return (await model.exists(one)) ? false : null;
  }
  const there = await model.findOne(one);
  if (!there?.get('open')) return there ? false : null;
  await model.updateOne(one, { open: false });
  return true;
}

app.post('/vouchers', route(async ({ body }, response) => {
  const made = await models.vouchers.create({ code: body.code, open: true });
  response.status(201).json({ voucher: made.code });
}));
app.post('/vouchers/:code/redemptions', route(async ({ params, body }, response) => {
  const mine = await mark(models.vouchers, params);
  if (mine) await models.redemptions.create({ voucher: params.code, by: body.by });
  response.status(mine ? 201 : mine === null ? 404 : 409).json({});
}));
app.post('/posts', route(async ({ body }, response) => {
  const made = await models.posts.create({ text: body.text, open: true });
  response.status(201).json({ post: { id: made._id } });
}));
app.post('/posts/:id/pin', route(async ({ params }, response) => {
  const mine = await mark(models.posts, { _id: params.id });
  if (mine) await models.pins.create({ post: params.id });
  response.status(mine ? 201 : mine === null ? 404 : 409).json({});
}));

app.post('/rooms/:room/bookings', route(async ({ params, body }, response) => {
  const book = () => mongoose.connection.transaction(async (session) => {
    if (await models.bookings.exists({ room: params.room }).session(session)) return null;
    // Two transactions that each insert do not conflict: without the index both are carried out.
    const [made] = await models.bookings.create([{ room: params.room, by: body.by }], { session });
    return made;
  });
  let made;
  try {
    await book().then((booked) => { made = booked; });
  } catch (error) {
    if (!isTaken(error)) throw error;
  }
  response.status(made ? 201 : 409).json(made ? { booking: made._id } : { message: 'already booked' });
}));

const lines = express.Router({ mergeParams: true });
lines.post('/', route(async ({ params, body }, response) => {
  const one = { basket: params.basket };
  if (fixed) {
    const push = () => models.baskets.updateOne(one, { $push: { lines: { article: body.article, n: 1 } } }, { upsert: true });
    await push().catch((error) => (isTaken(error) ? push() : Promise.reject(error)));
  } else {
    const there = (await models.baskets.findOne(one).lean()) ?? { lines: [] };
    const all = [...there.lines, { article: body.article, n: 1 }];
    await models.baskets.updateOne(one, { $set: { lines: all } }, { upsert: true });
  }
  response.status(201).json({ ok: true });
}));
const shop = express.Router();
shop.use('/baskets/:basket/lines', lines);
app.use('/shop/v1', shop);

app.use((error, request, response, next) => response.status(500).json({ error: error.message }));

async function main() {
  await mongoose.connect(process.env.MONGO_URL);
  const many = ['redemptions', 'posts', 'pins', 'vouchers'];
  for (const [name, key] of Object.entries(keys)) {
    await models[name].createCollection();
    // A basket was always unique: what it lost are its lines.
    if (!many.includes(name) && (fixed || name === 'baskets' || name === 'guests')) await models[name].collection.createIndex({ [key]: 1 }, { unique: true });
  }
  app.listen(Number(process.env.PORT), '127.0.0.1');
}

main();
