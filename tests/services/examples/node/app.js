// Small services in one, as many are written: Express and Mongoose. MODE chooses between the code before its fixes and
// after them.
//
//   POST /posts                   { title }                   a post
//   POST /posts/:post/like                                    one more like
//   POST /carts/:user/items       { sku }                     one more thing in the cart
//   POST /users                   { email, name }             signs up; 409 if the address is taken
//   POST /hooks/payments          { event, account, amount }  a payment, delivered at least once
//   POST /galleries/:chat                                     a chat for merged images
//   POST /galleries/:chat/merges/:id                          merges two images, delivered at least once; 202 while another does

const express = require('express');
const mongoose = require('mongoose');

const fixed = process.env.MODE === 'fixed';
const { Schema } = mongoose;
const options = { versionKey: false, autoIndex: false };
const Post = mongoose.model('Post', new Schema({ title: String, likes: { type: Number, default: 0 } }, options));
const Cart = mongoose.model('Cart', new Schema({ user: String, items: [String] }, options));
const User = mongoose.model('User', new Schema({ email: String, name: String }, options));
const Event = mongoose.model('Event', new Schema({ event: String }, options));
const Account = mongoose.model('Account', new Schema({ name: String, balance: Number }, options));

const Gallery = mongoose.model('Gallery', new Schema({ chat: String, updatedAt: Date, messages: [new Schema(
  { type: { type: String }, mergeId: String, url: String }, { _id: false })] }, options));
const Merged = mongoose.model('Merged', new Schema({ mergeId: String, url: String }, options), 'mergedResults');
const Lock = mongoose.model('Lock', new Schema({ _id: String, expiresAt: Date }, options), 'mergeLocks');

const app = express();
app.use(express.json());
const route = (handle) => (request, response) =>
  handle(request, response).catch((error) => response.status(500).json({ error: error.message }));

app.get('/health', (_, response) => response.json({ ok: true }));

app.post('/posts', route(async (request, response) => {
  const post = await Post.create({ title: request.body.title });
  response.status(201).json({ id: post._id });
}));

app.post('/posts/:post/like', route(async (request, response) => {
  if (fixed) {
    const post = await Post.findByIdAndUpdate(request.params.post, { $inc: { likes: 1 } }, { new: true });
    return response.json({ id: post._id, likes: post.likes });
  }
  const post = await Post.findById(request.params.post);
  await Post.updateOne({ _id: post._id }, { $set: { likes: post.likes + 1 } });
  response.json({ id: post._id, likes: post.likes + 1 });
}));

app.post('/carts/:user/items', route(async (request, response) => {
  const { user } = request.params;
  if (fixed) {
    const update = { $push: { items: request.body.sku } };
    const add = () => Cart.findOneAndUpdate({ user }, update, { upsert: true, new: true });
    // The loser of the race to create the cart finds it the second time.
    const cart = await add().catch((error) => (error.code === 11000 ? add() : Promise.reject(error)));
    return response.json({ id: cart._id });
  }
  const cart = (await Cart.findOne({ user }).lean()) || (await Cart.create({ user, items: [] })).toObject();
  await Cart.updateOne({ _id: cart._id }, { $set: { items: [...cart.items, request.body.sku] } });
  response.json({ id: cart._id });
}));

app.post('/users', route(async (request, response) => {
  const { email, name } = request.body;
  const taken = () => response.status(409).json({ error: 'this address is taken' });
  if (await User.findOne({ email })) return taken();
  try {
    const user = await User.create({ email, name });
    response.status(201).json({ id: user._id });
  } catch (error) {
    if (error.code !== 11000) throw error;
    taken();
  }
}));

app.post('/hooks/payments', route(async (request, response) => {
  const { event, account, amount } = request.body;
  if (fixed) {
    try {
      await Event.create({ event });
    } catch (error) {
      if (error.code !== 11000) throw error;
      return response.json({ seen: true });
    }
  } else {
    if (await Event.findOne({ event })) return response.json({ seen: true });
    await Event.create({ event });
  }
  await Account.updateOne({ name: account }, { $inc: { balance: amount } }, { upsert: true });
  response.json({ seen: false });
}));

app.post('/galleries/:chat', route(async (request, response) => {
  const gallery = await Gallery.create({ chat: request.params.chat, messages: [] });
  response.status(201).json({ id: gallery._id });
}));

/** The merged image: the slow part, whose result is kept. */
async function merged(mergeId) {
  return (await Merged.findOne({ mergeId })) ?? Merged.create({ mergeId, url: `/merged/${mergeId}.png` });
}

app.post('/galleries/:chat/merges/:id', route(async (request, response) => {
  const { chat, id: mergeId } = request.params;
  const message = ({ url }) => ({ type: 'mergeFace', mergeId, url });
  if (!fixed) {
    const image = await merged(mergeId);
    if (await Gallery.exists({ chat, 'messages.mergeId': mergeId })) return response.json({ merged: false });
    await Gallery.updateOne({ chat }, { $push: { messages: message(image) } });
    return response.json({ merged: true });
  }
  const lock = `merge:${mergeId}`;
  try {
    await Lock.create({ _id: lock, expiresAt: new Date(Date.now() + 60_000) });
  } catch (error) {
    if (error.code !== 11000) throw error;
    return response.status(202).json({ merging: true });
  }
  const push = async () => {
    const image = await merged(mergeId);
    const update = { $push: { messages: message(image) }, $set: { updatedAt: new Date() } };
    return Gallery.updateOne({ chat, 'messages.mergeId': { $ne: mergeId } }, update);
  };
  const { matchedCount } = await push().finally(() => Lock.deleteOne({ _id: lock }));
  // Nothing matched: it is there already, or there is no such chat.
  if (!matchedCount && !(await Gallery.exists({ chat }))) return response.status(404).json({ error: 'no such chat' });
  response.json({ merged: matchedCount === 1 });
}));

async function main() {
  await mongoose.connect(process.env.MONGO_URL);
  await Promise.all([Post, Cart, User, Event, Account, Gallery, Merged, Lock].map((model) => model.createCollection()));
  if (fixed) {
    await Cart.collection.createIndex({ user: 1 }, { unique: true });
    await User.collection.createIndex({ email: 1 }, { unique: true });
    await Event.collection.createIndex({ event: 1 }, { unique: true });
    await Merged.collection.createIndex({ mergeId: 1 }, { unique: true });
    await Lock.collection.createIndex({ expiresAt: 1 }, { expireAfterSeconds: 0 });
  }
  await Account.collection.createIndex({ name: 1 }, { unique: true });
  app.listen(Number(process.env.PORT), '127.0.0.1');
}

main();
