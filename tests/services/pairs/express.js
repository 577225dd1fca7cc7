// Small routes, each with a race (MODE=buggy) and without (MODE=fixed): Express and Mongoose.
const express = require('express');
const mongoose = require('mongoose');
const noise = require('./noise.js');

const buggy = process.env.MODE !== 'fixed';
const { Schema } = mongoose;
const plain = { versionKey: false, autoIndex: false };
const model = (name, fields, options = plain) => mongoose.model(name, new Schema({ _id: String, ...fields }, options));
const Cart = model('Cart', { items: [String] });
const Page = model('Page', { visits: { type: Number, default: 0 } });
const Draft = model('Draft', { text: String, edits: { type: Number, default: 0 } }, { optimisticConcurrency: true, autoIndex: false });
const Wish = model('Wish', { on: { type: Boolean, default: false }, changes: { type: Number, default: 0 } });
const Team = model('Team', { admins: { type: Number, default: 2 } });
const Admin = model('Admin', { team: String });
const Loose = mongoose.model('Loose', new Schema({ email: String }, plain));
const Device = mongoose.model('Device', new Schema({ token: String }, plain));
const Order = mongoose.model('Order', new Schema({ shop: String, number: Number }, plain));
const Visitor = model('Visitor', { group: String });
const visitors = new Map();
const Reader = model('Reader', { at: Date });
const Counter = model('Counter', { orders: Number });
const taken = (error) => error.code === 11000;

const routes = {
  // every 25th visitor sees the new page: no race
  async group(key) {
    if (!visitors.has(key)) visitors.set(key, (visitors.size + 1) % 25 === 0 ? 'new' : 'old');
    const seen = { $setOnInsert: { group: visitors.get(key) } };
    await Visitor.updateOne({ _id: key }, seen, { upsert: true }).catch((error) => {
      if (!taken(error)) throw error;
    });
    return [200, {}];
  },
  // lost update of a list: all of it is saved
  async cart(key) {
    if (buggy) {
      const cart = await Cart.findById(key);
      cart.items = [...cart.items, 'thing'];
      await cart.save();
    } else await Cart.updateOne({ _id: key }, { $push: { items: 'thing' } });
    return [200, {}];
  },
  // lost update of a counter
  async visit(key) {
    if (buggy) {
      const page = await Page.findById(key);
      page.visits += 1;
      await page.save();
    } else await Page.updateOne({ _id: key }, { $inc: { visits: 1 } });
    return [200, {}];
  },
  // a VersionError, handed on
  async edit(key) {
    for (;;) {
      const draft = await Draft.findById(key);
      draft.edits += 1;
      try {
        await draft.save();
        return [200, {}];
      } catch (error) { if (buggy || error.name !== 'VersionError') throw error; }
    }
  },
  // find, then create: nothing unique in the database
  async join(key) {
    if (buggy) {
      if (await Loose.exists({ email: key })) return [409, { error: 'taken' }];
      await Loose.create({ email: key });
    } else {
      try { await Reader.create({ _id: key }); } catch (error) { if (!taken(error)) throw error; return [409, { error: 'taken' }]; }
    }
    return [201, {}];
  },
  // an upsert without an index
  async device(key) {
    if (buggy) await Device.findOneAndUpdate({ token: key }, { token: key }, { upsert: true });
    else await Reader.findOneAndUpdate({ _id: key }, {}, { upsert: true }).catch((error) => { if (!taken(error)) throw error; });
    return [200, {}];
  },
  // how many there are, plus one
  async order(key) {
    const number = buggy
      ? (await Order.countDocuments({ shop: key })) + 1
      : (await Counter.findOneAndUpdate({ _id: key }, { $inc: { orders: 1 } }, { upsert: true, new: true })).orders;
    await Order.create({ shop: key, number });
    return [201, { number }];
  },
  // on and off
  async toggle(key) {
    if (buggy) {
      const { on, changes } = await Wish.findById(key);
      await Wish.updateOne({ _id: key }, { on: !on, changes: changes + 1 });
    } else await Wish.updateOne({ _id: key }, [{ $set: { on: { $not: '$on' }, changes: { $add: ['$changes', 1] } } }]);
    return [200, {}];
  },
  // the last administrator must not leave: two who leave at once
  async ann(key) { return leave(key, 'ann'); },
  async bob(key) { return leave(key, 'bob'); },
};

async function leave(key, who) {
  if (buggy) {
    if ((await Admin.countDocuments({ team: key })) < 2) return [409, { error: 'the last one' }];
  } else if (!(await Team.updateOne({ _id: key, admins: { $gt: 1 } }, { $inc: { admins: -1 } })).modifiedCount) {
    return [409, { error: 'the last one' }];
  }
  await Admin.deleteOne({ _id: key + who });
  return [200, {}];
}

async function prepare(key) {
  for (const kind of [Cart, Page, Draft, Wish, Team]) await kind.create({ _id: key }).catch((error) => { if (!taken(error)) throw error; });
  for (const who of ['ann', 'bob']) await Admin.updateOne({ _id: key + who }, { team: key }, { upsert: true });
  return [200, {}];
}

const app = express();
app.get('/health', (_, response) => response.json({}));
app.post('/:name/:key', async (request, response) => {
  const { name, key } = request.params;
  try {
    const [status, body] = await (name === 'prepare' ? prepare : routes[name] ?? noise.routes[name])(key, response);
    response.status(status).json(body);
  } catch (error) { response.status(500).json({ error: error.name }); }
});
mongoose.connect(process.env.MONGO_URL).then(() => {
  noise.begin(process.env.ROUTES);
  app.listen(Number(process.env.PORT), '127.0.0.1');
});
