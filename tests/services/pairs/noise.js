// Correct routes of Express and Mongoose, and noisy: whatever changes from run to run here is nobody's fault.
const crypto = require('crypto');
const mongoose = require('mongoose');

const { Schema } = mongoose;
const plain = { versionKey: false, autoIndex: false };
const Tally = mongoose.model('Tally', new Schema({ _id: String, n: Number }, plain));
const Note = mongoose.model('Note', new Schema({ key: String, text: String }, { timestamps: true, autoIndex: false }));
const Session = mongoose.model('Session', new Schema({ _id: String, token: String, rotatedAt: Date, csrf: String }, plain));
const Invite = mongoose.model('Invite', new Schema({ key: String, code: String, expiresAt: { type: Date, expires: 3600 } }, { versionKey: false }));
const Visit = mongoose.model('Visit', new Schema({ key: String, ip: String, agent: String, tookMs: Number, requestId: String }, { timestamps: { createdAt: true, updatedAt: false }, versionKey: false, autoIndex: false }));
const Beat = mongoose.model('Beat', new Schema({ _id: String, at: Date, pid: Number, n: Number }, plain));
const Setting = mongoose.model('Setting', new Schema({ _id: String, theme: String }, { timestamps: true, versionKey: false, autoIndex: false }));

const letters = (length) => crypto.randomBytes(length).toString('base64url').slice(0, length);
const pause = (most) => new Promise((end) => setTimeout(end, Math.random() * most));
const taken = (error) => error.code === 11000;
const served = { requests: 0, left: 1e6, begin: Date.now(), queue: Promise.resolve() };

// An increment that tries again, after a pause of random length, where two create the document at once.
async function add(id) {
  for (;;) {
    try { return await Tally.findOneAndUpdate({ _id: id }, { $inc: { n: 1 } }, { upsert: true, new: true }); } catch (error) {
      if (!taken(error)) throw error;
      await pause(4);
    }
  }
}

const routes = {
  // documents with timestamps, a version and an identifier of their own, answered whole
  async stamped(key) { await add(key); return [201, await Note.create({ key, text: `for ${key}` })]; },
  // a session's token is made anew; the last one counts
  async rotation(key) {
    const token = letters(24);
    await Session.updateOne({ _id: key }, { token, rotatedAt: new Date(), csrf: letters(11) }, { upsert: true }).catch((error) => { if (!taken(error)) throw error; });
    return [200, {}];
  },
  // what is left of a limit that all share
  async ratelimit(key, response) {
    served.left -= 1;
    response.set({ 'X-RateLimit-Remaining': String(served.left), 'Retry-After': '1' });
    await add(key);
    return [200, { remaining: served.left, resets: Date.now() + 60000 }];
  },
  // hits of a page, and of all pages
  async hits(key) { await add(key); await add('#all'); return [200, {}]; },
  // expires, with an index that removes it
  async ttl(key) { await add(key); await Invite.create({ key, code: letters(8), expiresAt: new Date(Date.now() + 3600e3) }); return [201, {}]; },
  // an entity tag over what has a time in it
  async etag(key, response) {
    await add(key);
    const { _id } = await Note.create({ key, text: 'x' });
    const tag = crypto.createHash('sha1').update(`${_id} ${Date.now()}`).digest('hex');
    response.set('ETag', `W/"${tag}"`);
    return [200, { etag: tag }];
  },
  // one line in the log for each request, with how long it took and who asked
  async requestlog(key) {
    const begin = performance.now();
    const requestId = crypto.randomUUID();
    await add(key);
    await Visit.create({ key, ip: '127.0.0.1', agent: 'x', tookMs: performance.now() - begin, requestId });
    return [200, { requestId }];
  },
  // works on at once after its answer, sooner or later
  async jitter(key) { await add(key); pause(8).then(() => add(`${key}-later`)).catch(() => {}); return [202, {}]; },
  // works on after its answers, one piece of work after another
  async queued(key) {
    await add(key);
    served.queue = served.queue.then(() => new Promise((end) => setTimeout(end, 8))).then(() => add(`${key}-later`)).catch(() => {});
    return [202, {}];
  },
  // a heartbeat beside it all
  async heartbeat(key) { await add(key); return [200, { up: Math.floor((Date.now() - served.begin) / 1000) }]; },
  // requests served so far, and the memory that it took
  async health(key) { served.requests += 1; await add(key); return [200, { requests: served.requests, rss: process.memoryUsage().rss }]; },
  // settings that anybody writes alike
  async preference(key) {
    await Setting.updateOne({ _id: key }, { theme: 'dark' }, { upsert: true }).catch((error) => { if (!taken(error)) throw error; });
    return [200, {}];
  },
  // an address with a part that is made anew, and the same in a link
  async share(key) {
    await add(key);
    const slug = `${key}-${letters(7)}`;
    await Note.create({ key, text: `/s/${slug}` });
    return [201, { slug, links: [{ rel: 'self', href: `https://x.test/s/${slug}` }] }];
  },
};

// The service's own work, which belongs to no request.
function begin(route) {
  if (route !== 'heartbeat') return;
  setInterval(() => Beat.updateOne({ _id: 'me' }, { at: new Date(), pid: process.pid, $inc: { n: 1 } }, { upsert: true }).catch(() => {}), 20);
}

module.exports = { routes, begin };
