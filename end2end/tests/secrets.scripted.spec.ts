import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createPrivateKey } from 'node:crypto';
import type { Page } from '@playwright/test';
import { Instance, newData } from './instance';
import {
  APPLICATIONS,
  expect,
  generatePair,
  openAction,
  PASSWORD,
  present,
  signedToken,
  signIn,
  signInAsNewAdmin,
  storeShownKey,
  test,
} from './support';

// Runs the whole flow, then searches everything it left behind for secrets.

/** Upstream REST API that records every request it receives. */
async function recordingUpstream() {
  const received: Buffer[] = [];
  const server = createServer((request, response) => {
    received.push(Buffer.from(`${request.method} ${request.url}\n${request.rawHeaders.join('\n')}\n`));
    request.on('data', (bytes: Buffer) => received.push(bytes));
    request.on('end', () => response.setHeader('content-type', 'application/json').end('{"items": []}'));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return { address: `http://127.0.0.1:${port}`, received, close: () => server.close() };
}

/** Returns the encodings in which a secret could be stored. */
function spellings(secret: string | Buffer): Buffer[] {
  const bytes = Buffer.from(secret);
  // Base64 depends on the offset modulo three. The cut removes the characters that depend on neighbouring bytes.
  const base64 = [0, 1, 2].flatMap((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64').slice(4, -4);
    return [text, text.replaceAll('+', '-').replaceAll('/', '_')];
  });
  const hex = bytes.toString('hex');
  return [bytes, ...[...base64, hex, hex.toUpperCase()].map((text) => Buffer.from(text))];
}

/** Returns which secrets occur in which of the places. */
function found(secrets: Map<string, string | Buffer>, places: Map<string, Buffer>): string[] {
  return [...secrets].flatMap(([secret, text]) =>
    [...places]
      .filter(([, bytes]) => spellings(text).some((spelling) => bytes.includes(spelling)))
      .map(([place]) => `${secret} in ${place}`),
  );
}

/** Stores the HTML of every page that is linked from `start`, directly or indirectly. */
async function crawl(page: Page, start: string, places: Map<string, Buffer>) {
  const open = [start];
  const seen = new Set<string>();
  for (let address = open.pop(); address !== undefined; address = open.pop()) {
    if (seen.has(address)) continue;
    seen.add(address);
    const html = Buffer.from(await (await page.request.get(address)).body());
    places.set(`the page ${address}`, html);
    for (const [, link] of html.toString().matchAll(/href="(\/(?!assets)[^"#]*)"/g)) open.push(link.replaceAll('&amp;', '&'));
  }
  expect(seen.size).toBeGreaterThan(10);
}

test('after the whole flow, no secret is left anywhere', async ({ browser }) => {
  test.setTimeout(180_000);
  const upstream = await recordingUpstream();
  const data = newData();
  const instance = await Instance.create(data, '--demo', '--upstream', upstream.address);
  await instance.start();
  const owner = await browser.newPage({ baseURL: instance.console });
  const admin = await browser.newPage({ baseURL: instance.console });
  const secrets = new Map<string, string | Buffer>([['the password', PASSWORD]]);
  const keep = (name: string, apiKey: string) => secrets.set(name, apiKey.slice(13, 45));

  // Create with a generated pair, rotate, replace an exposed key, and claim a prepared key.
  await signIn(owner);
  await owner.goto(`${APPLICATIONS}/new`);
  await owner.getByLabel('Application name').fill('Canary');
  const privateFile = await generatePair(owner, '2048');
  const { p, d } = createPrivateKey(readFileSync(privateFile)).export({ format: 'jwk' });
  // Bytes from the middle of the numbers, so that their base64 does not depend on how the numbers begin or end.
  secrets.set('the private key’s p', Buffer.from(p!, 'base64url').subarray(16, 48));
  secrets.set('the private key’s d', Buffer.from(d!, 'base64url').subarray(64, 112));
  secrets.set('the private key’s file', readFileSync(privateFile, 'utf8').split('\n')[6]);
  await owner.locator('input[value="CUSTOMERS_WRITE"]').check();
  await owner.getByRole('button', { name: 'Create API application' }).click();
  const first = await storeShownKey(owner);
  keep('the first key', first);
  const application = { path: new URL(owner.url()).pathname };
  await openAction(owner, application, 'Create replacement key');
  await owner.getByRole('button', { name: 'Create replacement key' }).click();
  const second = await storeShownKey(owner);
  keep('the second key', second);
  const ada = await signInAsNewAdmin(admin, data);
  secrets.set('the admin’s password', ada.password);
  secrets.set('what the admin’s app knows', ada.secret);
  ada.recoveryCodes.forEach((code) => secrets.set(`the recovery code ${code}`, code.replaceAll('-', '')));
  await admin.getByRole('link', { name: 'Alpine Pay' }).click();
  await admin.getByRole('link', { name: 'Canary', exact: true }).click();
  await admin.getByRole('link', { name: 'Prepare replacement key' }).click();
  await admin.getByLabel('Reason').fill('a drill');
  await admin.getByLabel('Ticket reference').fill('SUP-4711');
  await admin.getByRole('button', { name: 'Prepare replacement key' }).click();
  await openAction(owner, application, 'Claim replacement key');
  await owner.getByRole('button', { name: 'Claim replacement key' }).click();
  const third = await storeShownKey(owner);
  keep('the third key', third);

  // Submit secrets in the wrong fields: a private key as a public key, bypassing the page's scripts.
  const pasted = await owner.request.post(`${application.path}/replace-signing-key`, {
    headers: { origin: instance.console },
    form: { version: '1', overlap: 'none', public_key: readFileSync(privateFile, 'utf8') },
  });
  expect(pasted.status()).toBe(422);
  const unsent = await (await browser.newContext()).request.post(`${instance.console}${application.path}/rename`, {
    headers: { origin: instance.console },
    form: { version: '1', name: readFileSync(privateFile, 'utf8') },
  });
  expect(unsent.status()).toBe(403);

  // Send requests that are accepted, refused and replayed.
  const uri = '/api/v1/customers?limit=1';
  for (const key of [first, second, third]) {
    const token = signedToken(key, privateFile, uri);
    secrets.set(`a token of ${key.slice(0, 12)}`, token.split('.')[2].slice(8, 80));
    const answer = await fetch(instance.gateway + uri, { headers: { 'x-api-key': key, authorization: `Bearer ${token}` } });
    expect(await answer.json()).toEqual({ items: [] });
    expect(await present(instance.gateway, key, token, uri)).toBe('replay_detected');
    expect(await present(instance.gateway, key, token, `${uri}0`)).toBe('uri_mismatch');
    expect(await present(instance.gateway, `${key.slice(0, -1)}~`, token, uri)).toBe('invalid_api_key');
  }
  await expect(async () => {
    await owner.goto(application.path);
    await expect(owner.locator('#api-keys')).toContainText('1 request,', { timeout: 100 });
  }).toPass();

  const places = new Map<string, Buffer>();
  places.set('an answer of the console', Buffer.concat([await pasted.body(), await unsent.body()]));
  await crawl(owner, APPLICATIONS, places);
  await crawl(admin, '/organizations', places);
  const readData = (when: string) => {
    for (const file of readdirSync(data, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())) {
      places.set(`${file.name} ${when}`, readFileSync(join(file.parentPath, file.name)));
    }
  };
  readData('while it runs');
  expect(await instance.stop('SIGTERM')).toBe(0);
  readData('afterwards');
  places.set('the log', Buffer.concat(instance.logged));
  places.set('what the upstream received', Buffer.concat(upstream.received));
  upstream.close();

  expect(found(secrets, places)).toEqual([]);

  // Positive controls: the search covers the right places and finds known text.
  const known = (text: string) => found(new Map([['it', text]]), places).map((hit) => hit.replace(/^it in /, ''));
  expect(known(first.slice(0, 12))).toEqual(expect.arrayContaining(['nuvera.db afterwards', `the page ${application.path}`]));
  expect(known('CUSTOMERS_WRITE')).toContain('nuvera.db afterwards');
  expect(known('x-nuvera-application-id')).toEqual(['what the upstream received']);
  expect(known('microseconds')).toContain('the log');
  for (const [name, secret] of secrets) {
    for (const spelling of spellings(secret)) {
      writeFileSync(join(data, 'planted'), Buffer.concat([Buffer.from('x'), spelling]));
      const planted = new Map([['planted', readFileSync(join(data, 'planted'))]]);
      expect(found(secrets, planted), name).toContain(`${name} in planted`);
    }
  }
});
