// Chat threads in three tables. MODE=before is how it is often written: look the thread up, insert it if there is none, its
// participants in a second statement, and counts that are read and written back. MODE=fixed has a unique key on the sorted
// set of participants and does everything in one transaction. BUG plants one more mistake into the fixed one: `no-admins`
// lets everybody expand a thread, `silent` does not send what is said to a thread that exists, `twice` sends it twice.
//
//   POST /api/chat/check-existing-thread  { participants, thread_type }
//   POST /api/chat/start-conversation     { participants, thread_type, message_content }
//   POST /api/chat/threads/:id/expand     { new_participants, message_content? }
//   GET  /api/chat/threads                the threads of the caller, with their participants and messages
//
// The caller is named by the header X-User.

const http = require('node:http');
const { Pool } = require('pg');
const database = require('./database');

const fixed = process.env.MODE === 'fixed';
const bug = process.env.BUG || '';

const SCHEMA = `
  CREATE TABLE chat_threads (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, thread_type text NOT NULL, title text NOT NULL,
    participant_key text ${fixed ? 'UNIQUE NOT NULL' : ''}, message_count int NOT NULL DEFAULT 0);
  CREATE TABLE chat_participants (
    thread_id bigint NOT NULL REFERENCES chat_threads, user_id text NOT NULL, is_admin bool NOT NULL DEFAULT false
    ${fixed ? ', PRIMARY KEY (thread_id, user_id)' : ''});
  CREATE TABLE chat_messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, thread_id bigint NOT NULL REFERENCES chat_threads,
    sender text NOT NULL, content text NOT NULL);
  CREATE INDEX ON chat_participants (user_id);
  CREATE INDEX ON chat_participants (thread_id);
  CREATE INDEX ON chat_messages (thread_id)`;

const SHOWN = `
  SELECT t.id::text, t.thread_type, t.title, t.message_count,
    (SELECT json_agg(p.user_id ORDER BY p.user_id) FROM chat_participants p WHERE p.thread_id = t.id) AS participants,
    (SELECT json_agg(p.user_id) FROM chat_participants p WHERE p.thread_id = t.id AND p.is_admin) AS admins,
    (SELECT json_agg(m.content ORDER BY m.id) FROM chat_messages m WHERE m.thread_id = t.id) AS messages
  FROM chat_threads t`;

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const everybody = (caller, named) => [...new Set([caller, ...named])].sort();
const titleOf = (count) => `Thread of ${count}`;
const keyOf = (type, members) => `${type}:${members.join(',')}`;
const rows = async (db, text, values) => (await db.query(text, values)).rows;
const shown = async (db, id) => (await rows(db, `${SHOWN} WHERE t.id = $1`, [id]))[0];

function checked(type, members) {
  const fits = type === 'direct' ? members.length === 2 : type === 'group' && members.length >= 2;
  if (!fits) throw new Refused(422, 'a direct thread has two participants, a group two or more');
}

async function lookUp(db, type, members) {
  if (fixed) return (await rows(db, `${SHOWN} WHERE t.participant_key = $1`, [keyOf(type, members)]))[0];
  const found = await rows(db, `${SHOWN} WHERE t.thread_type = $1 AND (SELECT array_agg(p.user_id ORDER BY p.user_id)
    FROM chat_participants p WHERE p.thread_id = t.id) = $2::text[] ORDER BY t.id LIMIT 1`, [type, members]);
  return found[0];
}

async function send(db, id, sender, content) {
  await db.query('INSERT INTO chat_messages (thread_id, sender, content) VALUES ($1, $2, $3)', [id, sender, content]);
  if (fixed) return db.query('UPDATE chat_threads SET message_count = message_count + 1 WHERE id = $1', [id]);
  const [{ message_count: count }] = await rows(db, 'SELECT message_count FROM chat_threads WHERE id = $1', [id]);
  return db.query('UPDATE chat_threads SET message_count = $2 WHERE id = $1', [id, count + 1]);
}

async function join(db, id, users, admin) {
  for (const user of users) {
    await db.query('INSERT INTO chat_participants VALUES ($1, $2, $3)', [id, user, user === admin]);
  }
}

async function startBefore(db, caller, type, members, content) {
  const existing = await lookUp(db, type, members);
  let id = existing?.id;
  if (!id) {
    const title = titleOf(members.length);
    [{ id }] = await rows(db, 'INSERT INTO chat_threads (thread_type, title) VALUES ($1, $2) RETURNING id', [type, title]);
    await join(db, id, members, caller);
  }
  await send(db, id, caller, content);
  return { is_existing_thread: Boolean(existing), thread: await shown(db, id) };
}

async function startFixed(db, caller, type, members, content) {
  const key = keyOf(type, members);
  // An expansion may take the thread to another set between the two statements: then there is none, and it is tried again.
  for (;;) {
    const made = await rows(db, `INSERT INTO chat_threads (thread_type, title, participant_key) VALUES ($1, $2, $3)
      ON CONFLICT (participant_key) DO NOTHING RETURNING id`, [type, titleOf(members.length), key]);
    if (made.length > 0) await join(db, made[0].id, members, caller);
    const [thread] = await rows(db, 'SELECT id FROM chat_threads WHERE participant_key = $1 FOR UPDATE', [key]);
    if (!thread) continue;
    const existed = made.length === 0;
    if (!(bug === 'silent' && existed)) await send(db, thread.id, caller, content);
    if (bug === 'twice' && existed) await send(db, thread.id, caller, content);
    return { is_existing_thread: existed, thread: await shown(db, thread.id) };
  }
}

async function expand(db, caller, id, named, content) {
  const lock = fixed ? 'FOR UPDATE' : '';
  const [thread] = await rows(db, `SELECT id, thread_type FROM chat_threads WHERE id = $1 ${lock}`, [id]);
  if (!thread) throw new Refused(404, 'no such thread');
  const { participants, admins } = await shown(db, id);
  if (!admins.includes(caller) && bug !== 'no-admins') throw new Refused(403, 'only an admin may expand a thread');
  const added = [...new Set(named)].filter((user) => !participants.includes(user));
  const members = [...participants, ...added].sort();
  checked(thread.thread_type, members);
  await join(db, id, added);
  await db.query('UPDATE chat_threads SET title = $2 WHERE id = $1', [id, titleOf(members.length)]);
  if (fixed) {
    await db.query('UPDATE chat_threads SET participant_key = $2 WHERE id = $1', [id, keyOf(thread.thread_type, members)]);
  }
  if (content) await send(db, id, caller, content);
  const thread_after = await shown(db, id);
  return { added_participants: added, new_title: thread_after.title, thread: thread_after };
}

// The fixed one does everything in one transaction.
async function inOne(pool, work) {
  if (!fixed) return work(pool);
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const done = await work(client);
    await client.query('COMMIT');
    return done;
  } catch (error) {
    await client.query('ROLLBACK');
    // The set that the thread would come to has a thread already.
    if (error.constraint === 'chat_threads_participant_key_key') throw new Refused(409, 'there is such a thread');
    throw error;
  } finally {
    client.release();
  }
}

async function answer(pool, request, body) {
  const caller = request.headers['x-user'];
  const expanding = /^\/api\/chat\/threads\/(\d+)\/expand$/.exec(request.url);
  if (request.url === '/health') return {};
  if (!caller) throw new Refused(401, 'who is asking?');
  if (request.url === '/api/chat/threads') {
    return { threads: await rows(pool, `${SHOWN} WHERE t.id IN (SELECT thread_id FROM chat_participants WHERE user_id = $1)
      ORDER BY t.id`, [caller]) };
  }
  if (expanding) {
    return inOne(pool, (db) => expand(db, caller, expanding[1], body.new_participants, body.message_content));
  }
  const { thread_type: type, message_content: content } = body;
  const members = everybody(caller, body.participants);
  checked(type, members);
  if (request.url === '/api/chat/check-existing-thread') {
    const thread = await lookUp(pool, type, members);
    return thread ? { exists: true, thread } : { exists: false };
  }
  if (request.url !== '/api/chat/start-conversation') throw new Refused(404, 'no such route');
  return inOne(pool, (db) => (fixed ? startFixed : startBefore)(db, caller, type, members, content));
}

async function main() {
  const pool = new Pool({ host: await database.start(), user: 'practice', database: 'postgres', max: 40 });
  pool.on('error', (error) => console.error(error.message));
  await pool.query(SCHEMA);
  const server = http.createServer(async (request, response) => {
    let text = '';
    for await (const part of request) text += part;
    const reply = (status, json) => response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(json));
    try {
      reply(200, { status: 'success', data: await answer(pool, request, text ? JSON.parse(text) : {}) });
    } catch (error) {
      reply(error.status || 500, { status: 'error', message: error.message });
    }
  });
  server.listen(Number(process.env.PORT), '127.0.0.1');
}

main();
