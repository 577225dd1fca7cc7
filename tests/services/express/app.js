// A small chat service, as many are written: Express and Mongoose. MODE chooses between the code before its fixes and
// after them, INDEX whether the unique index is there.
//
//   POST /api/chats/create-or-get        { participantId }         the caller is the header X-User
//   POST /api/conversations/:session     { text, opId }            appends the message and its answer
//   GET  /api/conversations/:session
//   GET  /health

const express = require('express');
const mongoose = require('mongoose');

const fixed = process.env.MODE === 'fixed';
const indexed = process.env.INDEX !== 'no';

const chatSchema = new mongoose.Schema(
  { participants: [String], participantsKey: String, createdBy: String, createdAt: Date },
  { autoIndex: false, versionKey: false },
);
const conversationSchema = new mongoose.Schema(
  {
    sessionId: String,
    language: String,
    createdAt: Date,
    messages: [{ _id: false, role: String, text: String, opId: Number }],
  },
  { autoIndex: false, versionKey: false },
);
if (indexed) {
  chatSchema.index({ participantsKey: 1 }, { unique: true, sparse: true });
  conversationSchema.index({ sessionId: 1 }, { unique: true });
}
const Chat = mongoose.model('Chat', chatSchema);
const Conversation = mongoose.model('Conversation', conversationSchema);

async function chatBefore(participants, participantsKey, createdBy) {
  const found = await Chat.findOne({ participantsKey });
  if (found) return { chat: found, created: false };
  const chat = new Chat({ participants, participantsKey, createdBy, createdAt: new Date() });
  await chat.save();
  return { chat, created: true };
}

async function chatAfter(participants, participantsKey, createdBy) {
  try {
    const result = await Chat.findOneAndUpdate(
      { participantsKey },
      { $setOnInsert: { participants, createdBy, createdAt: new Date() } },
      { upsert: true, new: true, includeResultMetadata: true },
    );
    return { chat: result.value, created: !result.lastErrorObject.updatedExisting };
  } catch (error) {
    if (error.code !== 11000) throw error;
    return { chat: await Chat.findOne({ participantsKey }), created: false };
  }
}

function messages(text, opId) {
  return [
    { role: 'user', text, opId },
    { role: 'bot', text: `answer to ${text}`, opId },
  ];
}

async function appendBefore(sessionId, text, opId) {
  let conversation = await Conversation.findOne({ sessionId });
  if (!conversation) {
    conversation = new Conversation({ sessionId, language: 'en', createdAt: new Date(), messages: [] });
  }
  conversation.messages.push(...messages(text, opId));
  await conversation.save();
  return conversation;
}

async function appendAfter(sessionId, text, opId) {
  const update = {
    $setOnInsert: { language: 'en', createdAt: new Date() },
    $push: { messages: { $each: messages(text, opId) } },
  };
  const options = { upsert: true, new: true };
  try {
    return await Conversation.findOneAndUpdate({ sessionId }, update, options);
  } catch (error) {
    // Two upserts met: the session exists now, so the second attempt pushes.
    if (error.code !== 11000) throw error;
    return Conversation.findOneAndUpdate({ sessionId }, update, options);
  }
}

const app = express();
app.use(express.json());
app.get('/health', (request, response) => response.json({ ok: true }));
app.post('/api/chats/create-or-get', async (request, response) => {
  const caller = request.get('X-User');
  const participants = [caller, request.body.participantId].sort();
  const create = fixed ? chatAfter : chatBefore;
  const { chat, created } = await create(participants, participants.join('_'), caller);
  response.status(created ? 201 : 200).json({ success: true, chat });
});
app.post('/api/conversations/:session', async (request, response) => {
  const append = fixed ? appendAfter : appendBefore;
  const conversation = await append(request.params.session, request.body.text, request.body.opId);
  response.json({ success: true, conversationId: conversation._id });
});
app.get('/api/conversations/:session', async (request, response) => {
  const conversation = await Conversation.findOne({ sessionId: request.params.session }).lean();
  if (!conversation) return response.status(404).json({ success: false });
  response.json({ success: true, conversation });
});
app.use((error, request, response, next) => {
  response.status(500).json({ success: false, error: error.message });
});

async function main() {
  await mongoose.connect(process.env.MONGO_URL, { maxPoolSize: 100 });
  await Promise.all([Chat, Conversation].map((model) => model.createCollection()));
  if (indexed) await Promise.all([Chat, Conversation].map((model) => model.ensureIndexes()));
  app.listen(Number(process.env.PORT), '127.0.0.1');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
