// `make dev`, after the build: the worker under wrangler, a seeded workspace, and a shop with the chat widget in it.
//
// WORKER_PORT (8787), DEMO_PORT (8788), CLAVIGER_BIN (the native CLI). Secrets are made on the first run, stay in
// `.dev.vars` and never leave this machine; nothing here needs an account.
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { seed } from './seed.mjs';
import { startDemo } from './server.mjs';
import { watchSources } from './watch.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const built = ['release', 'debug'].map((profile) => join(root, 'target', profile, 'claviger'));
const { WORKER_PORT = '8787', DEMO_PORT = '8788', CLAVIGER_BIN = built.find(existsSync) ?? built[0] } = process.env;
const worker = `http://127.0.0.1:${WORKER_PORT}`;

let wrangler, demo, watcher, ending = false;

/** Ends everything once; wrangler has a process group of its own, so that workerd goes with it. */
async function finish(code, line) {
  if (ending) return;
  ending = true;
  if (line) console.error(line);
  watcher?.stop();
  await demo?.stop();
  if (wrangler && wrangler.exitCode === null && wrangler.signalCode === null) {
    const gone = new Promise((done) => wrangler.once('exit', done));
    group('SIGTERM');
    await Promise.race([gone, new Promise((done) => setTimeout(done, 5000))]);
  }
  group('SIGKILL');
  process.exit(code);
}
function group(signal) {
  try { if (wrangler?.pid) process.kill(-wrangler.pid, signal); } catch { /* already gone */ }
}

/** The variables of `.dev.vars`, made on the first run. */
async function variables() {
  const file = join(root, '.dev.vars');
  const fresh = `# Made by \`make dev\`: local secrets, ignored by git. Delete this file and .wrangler/ for a fresh start.
ROOT_SECRETS="r1:${randomBytes(32).toString('base64url')}"
STAGE="dev"
DEPLOYMENT="local"
ORIGIN="${worker}"
`;
  await writeFile(file, fresh, { mode: 0o600, flag: 'wx' }).catch((error) => { if (error.code !== 'EEXIST') throw error; });
  const text = await readFile(file, 'utf8');
  return Object.fromEntries([...text.matchAll(/^\s*(\w+)\s*=\s*(?:"([^"\n]*)"|'([^'\n]*)'|([^\n#]*))/gm)]
    .map(([, name, double, single, bare]) => [name, double ?? single ?? bare.trim()]));
}

/** wrangler.toml without its build: what compiles is built here, so that a mistake leaves the last good build serving. */
async function configuration() {
  const name = '.wrangler.dev.toml';
  const text = await readFile(join(root, 'wrangler.toml'), 'utf8');
  const served = text.replace(/^\[build\]\n(?:(?!\[).*\n)*/m, '').replace('build/entry.js', 'build-dev/entry.js');
  await writeFile(join(root, name), `# Made by \`make dev\` of wrangler.toml.\n${served}`);
  return name;
}

async function startWrangler({ ORIGIN }) {
  const config = await configuration();
  wrangler = spawn(join(root, 'node_modules/.bin/wrangler'), [
    'dev', '--config', config, '--ip', '127.0.0.1', '--port', WORKER_PORT, '--persist-to', '.wrangler/state', '--show-interactive-dev-session=false', ...(ORIGIN ? [] : ['--var', `ORIGIN:${worker}`]),
  ], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    // wrangler's own `#!/usr/bin/env node` must find the project's Node, which may be newer than the machine's.
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', WRANGLER_HIDE_BANNER: 'true', CLOUDFLARE_CF_FETCH_ENABLED: 'false', PATH: join(root, 'node_modules/.bin') + delimiter + process.env.PATH },
  });
  for (const stream of [wrangler.stdout, wrangler.stderr]) {
    createInterface({ input: stream }).on('line', (line) => console.log(`worker │ ${line}`));
  }
  wrangler.on('error', (error) => finish(1, `wrangler could not be started: ${error.message}. Run \`npm install\` first.`));
  wrangler.on('exit', (code, signal) => finish(code ?? 1, `wrangler ended (${signal ?? `exit code ${code}`}); so does this.`));
}

async function mintDeployKey({ ROOT_SECRETS, STAGE = 'dev', DEPLOYMENT = 'local' }) {
  const { stdout } = await promisify(execFile)(CLAVIGER_BIN, ['deploy-key', '--stage', STAGE, '--deployment', DEPLOYMENT], {
    env: { ...process.env, ROOT_SECRETS },
  }).catch((error) => {
    throw new Error(error.code === 'ENOENT' ? `${CLAVIGER_BIN} is not built: \`make cli\` builds it.` : `The deploy key could not be made: ${error.stderr || error.message}`);
  });
  return stdout.trim();
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => finish(0));

/** Says so at once when a port is taken: whatever listens there must not be given the deploy key. */
async function free(port, variable) {
  await new Promise((done, failed) => {
    const probe = createServer().once('error', failed).listen(Number(port), '127.0.0.1', () => probe.close(done));
  }).catch((error) => { throw new Error(`Port ${port} cannot be used (${error.code}); choose another with ${variable}.`); });
}

try {
  await free(WORKER_PORT, 'WORKER_PORT');
  await free(DEMO_PORT, 'DEMO_PORT');
  const vars = await variables();
  if (vars.ORIGIN && vars.ORIGIN !== worker) console.error(`Note: .dev.vars says ORIGIN="${vars.ORIGIN}", but this run listens on ${worker}. Absolute URLs will name the former.`);
  const deployKey = await mintDeployKey(vars);
  await startWrangler(vars);
  watcher = watchSources(root);
  const { widgetKey, identity } = await seed({
    worker,
    deployKey,
    stateFile: join(root, '.dev/seed.json'),
    origins: [`http://127.0.0.1:${DEMO_PORT}`, `http://localhost:${DEMO_PORT}`],
    stopped: () => { if (ending) throw new Error('stopped'); },
  });
  demo = await startDemo({ worker, widgetKey: widgetKey.secret, identity, deployKey, port: Number(DEMO_PORT) });
  console.log(`
  ┌──────────────────────────────────────────────────────────────
  │  A shop with the chat     ${demo.url}/
  │  The operator's pane      ${demo.url}/operator
  │  The worker               ${worker}/
  │
  │  Write in the shop, as nobody or signed in; answer in the pane. Ctrl-C ends everything.
  └──────────────────────────────────────────────────────────────
`);
} catch (error) {
  await finish(1, `\n${error.message}`);
}
