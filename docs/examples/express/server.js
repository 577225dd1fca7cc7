// A small Express app with a race: find, then insert. `docs/first-proof.md` leads from nothing to the proof of it.
const express = require('express');
const { MongoClient } = require('mongodb');
const app = express();
app.use(express.json());
const client = new MongoClient(process.env.MONGO_URL || 'mongodb://127.0.0.1:27017/chats');
app.post('/chats', async (req, res) => {
  const key = ['me', req.body.with].sort().join('_');
  const chats = client.db().collection('chats');
  let chat = await chats.findOne({ key });
  if (!chat) {
    chat = { key, createdAt: new Date() };
    await chats.insertOne(chat);
  }
  res.json({ id: chat._id });
});
client.connect().then(() => app.listen(process.env.PORT || 3000));
