// Compares the gateway's whole job with peers that do the same, in turns on one pinned core: POST with 1 kB of JSON,
// RS256 with 2048 bits, key lookup, claims, body hash, signature and replay check. The load runs on the other core,
// with unique tokens signed in advance.
//
//   node server/benches/gateway/run.mjs [rounds] [seconds] [regular expression for the peers' names]
//   node server/benches/gateway/run.mjs memory [minutes]     the gateway's memory under full load, per minute
//   node server/benches/gateway/run.mjs hostile [rounds]     the gateway's p99 without and with hostile console users
//
// Needs the production builds of `server` and of its examples, haproxy, openssl and taskset. Asserts no results, except
// that a peer that accepts invalid requests is not measured.

import { execFileSync, spawn } from 'node:child_process';
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { cpus, tmpdir } from 'node:os';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const memory = process.argv[2] === 'memory' ? Number(process.argv[3] ?? 10) : undefined;
const hostile = process.argv[2] === 'hostile' ? Number(process.argv[3] ?? 5) : undefined;
const [rounds, seconds] = [Number(process.argv[2] ?? 5), Number(process.argv[3] ?? 3)];
const here = dirname(fileURLToPath(import.meta.url));
const target = process.env.CARGO_TARGET_DIR ?? join(here, '../../../target');
const built = (program) => join(target, 'production', program);
const folder = mkdtempSync(join(tmpdir(), 'nuvera-bench-'));
const CONNECTIONS = 32;
const PORTS = { console: 3400, metrics: 3401, gateway: 45400, haproxy: 45401, fastify: 45402, axum: 45403 };

const { publicKey, privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
const files = { publicKey: join(folder, 'public.pem'), privateKey: join(folder, 'private.pem') };
writeFileSync(files.publicKey, publicKey);
writeFileSync(files.privateKey, privateKey, { mode: 0o600 });

const children = [];
// Stops all servers on any exit. Otherwise they would answer the next run.
process.on('exit', () => children.forEach((child) => child.kill()));
function start(program, args, env = {}) {
  const options = { stdio: 'ignore', env: { ...process.env, ...env } };
  const child = spawn('taskset', ['-c', '0', program, ...args], options);
  children.push(child);
  return child;
}

async function answers(url) {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (await fetch(url).catch(() => undefined)) return;
    await new Promise((next) => setTimeout(next, 100));
  }
  throw new Error(`${url} does not answer`);
}

/** Starts the gateway under test, and creates an application in its console as a user would. */
async function startGateway() {
  const console = `http://127.0.0.1:${PORTS.console}`;
  const child = start(built('server'), [
    ...['serve', '--demo', '--data', join(folder, 'data'), '--site', join(target, 'site')],
    ...['--console-address', `127.0.0.1:${PORTS.console}`, '--gateway-address', `127.0.0.1:${PORTS.gateway}`],
    ...['--metrics-address', `127.0.0.1:${PORTS.metrics}`],
  ]);
  await answers(`${console}/readyz`);
  const post = (path, form, cookie = '') =>
    fetch(console + path, {
      method: 'POST',
      redirect: 'manual',
      headers: { origin: console, cookie },
      body: new URLSearchParams(form),
    });
  const signedIn = await post('/sign-in', { email: 'owner@alpine.example', password: 'nuvera-demo-password' });
  const cookie = signedIn.headers.getSetCookie().map((set) => set.split(';')[0]).join('; ');
  const created = await post(
    '/settings/platform/api-applications/new',
    { creation_token: randomUUID(), name: 'Benchmark', public_key: publicKey },
    cookie,
  );
  const apiKey = (await created.text()).match(/nvk_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}/)[0];
  return { child, apiKey, post, cookie };
}

/** Weak, so that it is rejected, but only after zxcvbn has evaluated it for as long as any password can take. */
const COSTLY_PASSWORD = 'P4$$w0rd'.repeat(11);

/** Keeps the console busy with a signed-in user and others signing in, until the returned function is called. */
function attack({ post, cookie }) {
  const counted = { passwords: 0, signIns: 0 };
  let isOver = false;
  const repeat = async (kind, request) => {
    while (!isOver) {
      await request().then((response) => response.arrayBuffer());
      counted[kind] += 1;
    }
  };
  const attackers = [];
  for (let count = 0; count < 8; count += 1) {
    const change = () => post('/settings/account/password', { password: COSTLY_PASSWORD }, cookie);
    const signIn = () => post('/sign-in', { email: `stranger-${randomUUID()}@example.com`, password: 'no such password' });
    attackers.push(repeat('passwords', change), repeat('signIns', signIn));
  }
  return async () => {
    isOver = true;
    await Promise.all(attackers);
    return counted;
  };
}

/** Measures the latency at a steady 2,000 requests per second, alternately without and with the attack. */
async function underAttack(rounds) {
  const rate = 2_000;
  const runs = { idle: [], attacked: [] };
  await load(own, rate * 2, rate);
  for (let round = 1; round <= rounds; round += 1) {
    runs.idle.push(await load(own, rate * 5, rate));
    const stop = attack(gatewayUnderTest);
    runs.attacked.push(await load(own, rate * 5, rate));
    const { passwords, signIns } = await stop();
    const [idle, attacked] = [runs.idle.at(-1), runs.attacked.at(-1)].map((run) => `${run.p50.toFixed(2)} and ${run.p99.toFixed(2)} ms`);
    say(`round ${round}: p50 and p99 ${idle}; attacked ${attacked} (${passwords} passwords, ${signIns} sign-ins answered)`);
  }
  const p99 = (kind) => median(runs[kind].map((run) => run.p99));
  say(`p99 ${p99('idle').toFixed(2)} ms, attacked ${p99('attacked').toFixed(2)} ms: ${(p99('attacked') / p99('idle')).toFixed(2)} ×`);
}

const residentMegabytes = (pid) => Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) / 1024;

/** Runs full load for the given minutes, and reports the gateway's memory. */
async function steady(minutes) {
  const args = [`127.0.0.1:${PORTS.gateway}`, 'steady', minutes * 60, CONNECTIONS].map(String);
  const env = { ...process.env, NUVERA_API_KEY: apiKey, PRIVATE_KEY_FILE: files.privateKey };
  const client = spawn('taskset', ['-c', '1', built('examples/bench_load'), ...args], { env, stdio: ['ignore', 'inherit', 'inherit'] });
  const begun = Date.now();
  const sample = setInterval(() => {
    process.stdout.write(`${Math.round((Date.now() - begun) / 60_000)} min: ${residentMegabytes(gateway.pid).toFixed(0)} MB\n`);
  }, 60_000);
  await once(client, 'exit');
  clearInterval(sample);
  rmSync(folder, { recursive: true, force: true });
}

const gatewayUnderTest = await startGateway();
const { child: gateway, apiKey } = gatewayUnderTest;
if (memory) {
  await steady(memory);
  process.exit(0);
}
const keyHash = createHash('sha256').update(apiKey).digest('hex');
const env = { KEY_HASH: keyHash, PUBLIC_KEY_FILE: files.publicKey };
writeFileSync(join(folder, 'keys'), `${keyHash} application\n`);
const configuration = readFileSync(join(here, 'haproxy.cfg'), 'utf8')
  .replaceAll('@PORT@', PORTS.haproxy)
  .replaceAll('@KEYS@', join(folder, 'keys'))
  .replaceAll('@PUBLIC_KEY@', files.publicKey);
writeFileSync(join(folder, 'haproxy.cfg'), configuration);

const all = [
  { name: 'this gateway', port: PORTS.gateway, start: () => gateway, guess: 30_000 },
  { name: 'HAProxy', port: PORTS.haproxy, start: () => start('haproxy', ['-db', '-f', join(folder, 'haproxy.cfg')]), guess: 15_000 },
  {
    name: 'axum + jsonwebtoken',
    port: PORTS.axum,
    start: () => start(built('examples/bench_baseline'), [], { ...env, PORT: PORTS.axum }),
    guess: 25_000,
  },
  {
    name: 'fastify + jose',
    port: PORTS.fastify,
    start: () => start('node', [join(here, 'fastify.mjs')], { ...env, PORT: PORTS.fastify }),
    guess: 8_000,
  },
];
const [own, ...others] = all;
const peers = hostile ? [own] : [own, ...others.filter((peer) => peer.name.match(process.argv[4] ?? ''))];
for (const peer of peers) peer.child = peer.start();

const client = { NUVERA_API_KEY: apiKey, PRIVATE_KEY_FILE: files.privateKey };
const processorSeconds = (pid) => {
  // The process name in parentheses may contain any characters; the fields after it do not.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

/** Returns the gateway's own metrics: number of verifications and the total time they took. */
async function verifications() {
  const text = await (await fetch(`http://127.0.0.1:${PORTS.metrics}/metrics`)).text();
  const value = (name) => Number(text.match(new RegExp(`^nuvera_gateway_verification_seconds_${name} (\\S+)$`, 'm'))[1]);
  return { count: value('count'), seconds: value('sum') };
}

/** Runs a load against a peer: waits until the requests are signed, pins the load to the other core, and starts it. */
async function load(peer, requests, rate) {
  const args = [`127.0.0.1:${peer.port}`, requests, CONNECTIONS, ...(rate ? [rate] : [])].map(String);
  const child = spawn(built('examples/bench_load'), args, { env: { ...process.env, ...client }, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  execFileSync('taskset', ['-acp', '1', child.pid], { stdio: 'ignore' });
  const before = processorSeconds(peer.child.pid);
  child.stdin.write('\n');
  const { value } = await lines.next();
  const result = JSON.parse(value);
  const spent = processorSeconds(peer.child.pid) - before;
  await once(child, 'exit');
  if (result.accepted !== result.requests) throw new Error(`${peer.name} accepted ${result.accepted} of ${result.requests}`);
  return { ...result, rate: result.requests / result.seconds, micros: (spent / result.requests) * 1e6 };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const say = (text) => process.stdout.write(`${text}\n`);

if (hostile) {
  await underAttack(hostile);
  rmSync(folder, { recursive: true, force: true });
  process.exit(0);
}

try {
  for (const peer of peers) {
    await answers(`http://127.0.0.1:${peer.port}/`);
    execFileSync(built('examples/bench_load'), [`127.0.0.1:${peer.port}`, 'check'], { env: { ...process.env, ...client } });
    // Warms up, and measures the rate from which the number of requests is computed.
    peer.guess = (await load(peer, Math.round(peer.guess / 2))).rate;
    peer.runs = [];
    peer.relaxed = [];
  }
  const before = residentMegabytes(gateway.pid);
  const counted = await verifications();
  for (let round = 1; round <= rounds; round += 1) {
    for (const peer of peers) peer.runs.push(await load(peer, Math.round(peer.guess * seconds)));
    say(`round ${round}: ${peers.map((peer) => `${peer.name} ${Math.round(peer.runs.at(-1).rate)}/s`).join(', ')}`);
  }
  const after = await verifications();
  const rate = (peer) => median(peer.runs.map((run) => run.rate));
  // A stall of the machine affects a round's slowest responses, so there are several rounds and their median.
  for (let round = 1; round <= rounds; round += 1) {
    for (const peer of peers) peer.relaxed.push(await load(peer, Math.round((rate(peer) / 2) * seconds), rate(peer) / 2));
    say(`half load, round ${round}: ${peers.map((peer) => `${peer.name} p99 ${peer.relaxed.at(-1).p99.toFixed(2)} ms`).join(', ')}`);
  }
  const relaxed = (peer, percentile) => median(peer.relaxed.map((run) => run[percentile])).toFixed(2);
  const inProcess = (after.count - counted.count) / (after.seconds - counted.seconds);
  const verified = execFileSync('taskset', ['-c', '0', 'openssl', 'speed', '-mr', '-seconds', '3', 'rsa2048'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const bare = Number(verified.toString().match(/\+F2:\d+:2048:[\d.e-]+:([\d.e-]+)/)[1]);
  const floor = bare < 1 ? 1 / bare : bare;

  say(`\n${cpus()[0].model}, ${cpus().length} cores, one of them for each server; median of ${rounds} rounds of ${seconds} s\n`);
  say('| | requests/s on one core | CPU µs per request | at half of its load, p50 and p99 | this gateway is |');
  say('|---|---|---|---|---|');
  for (const peer of peers) {
    const micros = median(peer.runs.map((run) => run.micros));
    const ratio = peer === own ? '' : `${(rate(own) / rate(peer)).toFixed(2)} × as fast`;
    say(`| ${peer.name} | ${Math.round(rate(peer)).toLocaleString('en')} | ${micros.toFixed(1)} | ${relaxed(peer, 'p50')} and ${relaxed(peer, 'p99')} ms | ${ratio} |`);
  }
  say(`| bare RSA-2048 verification (openssl speed) | ${Math.round(floor).toLocaleString('en')} | ${(1e6 / floor).toFixed(1)} | | |`);
  say(`| verification inside the gateway | ${Math.round(inProcess).toLocaleString('en')} | ${(1e6 / inProcess).toFixed(1)} | | ${(inProcess / floor).toFixed(2)} × the bare one |`);
  say(`\nThe gateway's memory: ${before.toFixed(0)} MB after the warm-up, ${residentMegabytes(gateway.pid).toFixed(0)} MB at the end.`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
// The servers would keep this process running.
process.exit(0);
