// Merged pictures, as many a service has them: Express and Mongoose. A task is done elsewhere; a webhook announces it, and a
// poller finds it as well. Whoever comes first claims it, pushes the picture into the chat, and marks the task. What was cut off
// is recovered when the service starts. MODE chooses between the push before its fix and after it.
//
//   POST /api/tasks/:task/webhook        X-Op-Id: number of the operation, the same when it is sent again
//   POST /api/tasks/:task/poll
//   GET  /health

const express = require('express');
const mongoose = require('mongoose');

const fixed = process.env.MODE === 'fixed';

const taskSchema = new mongoose.Schema({ _id: String, by: String, done: Boolean }, { versionKey: false });
const chatSchema = new mongoose.Schema(
  { _id: String, messages: [{ _id: false, type: { type: String }, mergeId: String, url: String }] },
  { versionKey: false },
);
const Task = mongoose.model('Task', taskSchema);
const Chat = mongoose.model('Chat', chatSchema);

async function carryOut(task) {
  const message = { type: 'mergeFace', mergeId: task, url: `/pictures/${task}` };
  await Chat.updateOne({ _id: task }, { $setOnInsert: { messages: [] } }, { upsert: true });
  const chat = fixed ? { _id: task, 'messages.mergeId': { $ne: task } } : { _id: task };
  await Chat.updateOne(chat, { $push: { messages: message } });
  await Task.updateOne({ _id: task }, { $set: { done: true } });
}

async function announced(request, response) {
  const { task } = request.params;
  const by = request.get('X-Op-Id');
  const claim = { $setOnInsert: { by, done: false } };
  const claimed = await Task.findOneAndUpdate({ _id: task }, claim, { upsert: true, new: true });
  // Who is sent again finds its own claim, and goes on.
  if (claimed.by === by && !claimed.done) await carryOut(task);
  response.json({ ok: true });
}

const app = express();
app.get('/health', (request, response) => response.json({ ok: true }));
app.post('/api/tasks/:task/webhook', announced);
app.post('/api/tasks/:task/poll', announced);

async function main() {
  await mongoose.connect(process.env.MONGO_URL);
  await Promise.all([Task, Chat].map((model) => model.createCollection()));
  for (const task of await Task.find({ done: false })) await carryOut(task._id);
  app.listen(Number(process.env.PORT), '127.0.0.1');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
