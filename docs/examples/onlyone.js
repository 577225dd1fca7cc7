// A helper for Jest (and any other runner of Node.js): explores requests to your service, and throws the interleaving that
// breaks it. It needs `onlyone` on the path (or its place in the variable ONLYONE).
//
//     const { explore } = require('./onlyone');
//     test('one chat for two requests', async () => {
//       await explore(["curl http://app/chats --json '{\"with\": \"bob\"}'"], { command: ['node', 'server.js'] });
//     }, 300_000);
const { execFile } = require('node:child_process');
const { mkdtemp } = require('node:fs/promises');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

const VERDICTS = { 1: 'violated', 2: 'wrong usage', 3: 'inconclusive', 4: 'could not be set up' };

/** `requests` are curl lines, `command` starts the service, `options` are further ones of `onlyone explore`. */
async function explore(requests, { command, options = [], timeout = 300_000 }) {
  const out = await mkdtemp(join(tmpdir(), 'onlyone-'));
  const curl = requests.flatMap((request) => ['--curl', request]);
  const args = ['explore', '--quiet', '--out', out, ...curl, ...options, '--', ...command];
  await new Promise((resolve, reject) => {
    execFile(process.env.ONLYONE ?? 'onlyone', args, { timeout, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      if (!error) return resolve();
      const verdict = VERDICTS[error.code] ?? error.message;
      return reject(new Error(`${verdict}\n${stdout}${stderr}\nThe report is in ${out}`));
    });
  });
}

module.exports = { explore };
