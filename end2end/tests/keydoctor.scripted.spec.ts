import type { Page, Request } from '@playwright/test';
import { execFileSync, spawnSync } from 'node:child_process';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from './accessible';
import {
  APPLICATIONS,
  clipboard,
  createApplication,
  expect,
  externalKeyPair,
  openAction,
  signIn,
  test,
  uniqueName,
  watchTasks,
} from './support';

// Tests saving a private key, and the key doctor. OpenSSL or Node.js verifies every result.

const CHECK_KEY = `${APPLICATIONS}/check-key`;
const PASSPHRASE = 'correct horse, ß';

function openssl(args: string[], input?: string | Buffer): Buffer {
  return execFileSync('openssl', args, { input, stdio: ['pipe', 'pipe', 'pipe'] });
}

async function generate(page: Page) {
  await page.getByLabel('Size').selectOption('2048');
  await page.getByRole('button', { name: 'Generate key pair' }).click();
  await expect(page.getByText('The key pair is ready.')).toBeVisible({ timeout: 45_000 });
}

async function download(page: Page, button: string) {
  const downloading = page.waitForEvent('download');
  await page.getByRole('button', { name: button, exact: true }).click();
  const download = await downloading;
  const file = join(mkdtempSync(join(tmpdir(), 'nuvera-key-')), 'key.pem');
  await download.saveAs(file);
  return { file, name: download.suggestedFilename() };
}

/** Pastes a key and waits for the result. */
async function examine(page: Page, text: string) {
  await page.getByLabel('Or paste it').fill(text);
  await page.getByRole('button', { name: 'Check key' }).click();
  await expect(page.getByText(/^Examined\./)).toBeVisible();
}

test('a generated private key is handed out encrypted, and OpenSSL opens it with its passphrase only', async ({ page }) => {
  await signIn(page);
  await page.goto(`${APPLICATIONS}/new`);
  await page.getByLabel('Application name').fill('Ledger');
  await generate(page);
  await expect(page.getByText('You get it unencrypted: whoever has it can sign.')).toBeVisible();
  const plain = await download(page, 'Download private key');

  await page.getByLabel('Protect it with a passphrase').check();
  await expect(page.getByText(/You get it encrypted/)).toBeVisible();
  await expect(page.getByRole('button', { name: 'Download private key', exact: true })).toHaveCount(0);
  const passphrase = page.getByRole('textbox', { name: 'Passphrase' });
  await passphrase.fill('too short');
  await page.getByRole('button', { name: 'Download encrypted private key' }).click();
  await expect(page.getByText('Type a passphrase of at least 12 characters.')).toBeVisible();
  await expect(passphrase).toHaveAttribute('type', 'password');
  await page.getByLabel('Show the passphrase').check();
  await expect(passphrase).toHaveAttribute('type', 'text');
  await passphrase.fill(PASSPHRASE);
  const encrypted = await download(page, 'Download encrypted private key');
  expect(encrypted.name).toMatch(/^ledger-.{8}-encrypted\.pem$/);
  expect(readFileSync(encrypted.file, 'utf8')).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
  const open = (word: string) => spawnSync('openssl', ['pkey', '-in', encrypted.file, '-passin', `pass:${word}`]);
  expect(open(PASSPHRASE).stdout.toString()).toBe(readFileSync(plain.file, 'utf8'));
  expect(open('another passphrase').status).not.toBe(0);

  // Another passphrase gives another file.
  await passphrase.fill('another passphrase');
  const again = await download(page, 'Download encrypted private key');
  openssl(['pkey', '-in', again.file, '-noout', '-passin', 'pass:another passphrase']);

  // Enter in the passphrase field submits no form, and the field belongs to none.
  const { names, owner } = await passphrase.evaluate((field: HTMLInputElement) => ({ names: field.name, owner: field.form }));
  expect({ names, owner }).toEqual({ names: '', owner: null });
  await passphrase.press('Enter');
  await expect(page).toHaveURL(/\/new$/);
});

test('a private key on one line is what a service reads from its environment', async ({ page }) => {
  await signIn(page);
  await page.goto(`${APPLICATIONS}/new`);
  await generate(page);
  const { file } = await download(page, 'Download private key');
  await page.getByRole('button', { name: 'Copy as one line' }).click();
  await expect(page.getByText('Private key copied as one line.')).toBeVisible();
  const line = await clipboard(page);
  expect(line).not.toContain('\n');
  const program = 'process.stdout.write(process.env.KEY.replace(/\\\\n/g, "\\n"))';
  const read = execFileSync('node', ['-e', program], { env: { ...process.env, KEY: line } });
  expect(read.toString()).toBe(readFileSync(file, 'utf8'));
});

test('while a passphrase is hashed the page stays awake', async ({ page }) => {
  await signIn(page);
  await page.goto(`${APPLICATIONS}/new`);
  await generate(page);
  const longestTask = await watchTasks(page);
  await page.getByLabel('Protect it with a passphrase').check();
  await page.getByRole('textbox', { name: 'Passphrase' }).fill(PASSPHRASE);
  const begun = performance.now();
  await download(page, 'Download encrypted private key');
  // Hashing in the page itself would be a single task that takes the whole time.
  expect(await longestTask()).toBeLessThan((performance.now() - begun) / 2);
});

test('the doctor says which application a key belongs to, and where the key stands', async ({ page }) => {
  await signIn(page);
  const [first, second, third] = [externalKeyPair(), externalKeyPair(), externalKeyPair()];
  const application = await createApplication(page, uniqueName('Doctor'), first);
  const replace = async (pair: typeof first, overlap: string) => {
    await openAction(page, application, 'Replace signing key');
    await page.getByLabel('Paste a public key').check();
    await page.getByLabel('Public key (PEM)').fill(pair.publicPem);
    await page.getByLabel(overlap).check();
    await page.getByRole('button', { name: 'Replace signing key' }).click();
    await expect(page.getByText('The signing key is replaced.')).toBeVisible();
  };
  await replace(second, 'No overlap');
  await replace(third, '24 hours');
  await page.getByRole('link', { name: 'Check a key' }).click();
  const words = (kind: string) => page.getByText(`It is ${kind} signing key of “${application.name}”`);
  await examine(page, readFileSync(third.privateFile, 'utf8'));
  await expect(words('the current')).toBeVisible();
  await examine(page, readFileSync(second.privateFile, 'utf8'));
  await expect(words('a retiring')).toBeVisible();
  await examine(page, first.publicPem);
  await expect(words('a retired')).toBeVisible();
  await examine(page, externalKeyPair().publicPem);
  await expect(page.getByText('No application of your organization has registered this key')).toBeVisible();
  await expect(page.getByText(/^It is/)).toHaveCount(0);
});

test('the doctor reads what people have, and gives back what every library reads', async ({ page }) => {
  await signIn(page);
  await page.goto(CHECK_KEY);
  const { publicPem, privateFile } = externalKeyPair();
  const pem = readFileSync(privateFile, 'utf8');
  const folder = mkdtempSync(join(tmpdir(), 'nuvera-key-'));
  const sshFile = join(folder, 'id_rsa');
  writeFileSync(sshFile, pem, { mode: 0o600 });
  execFileSync('ssh-keygen', ['-q', '-p', '-P', '', '-N', '', '-f', sshFile]);
  const der = join(folder, 'key.der');
  writeFileSync(der, openssl(['pkcs8', '-topk8', '-nocrypt', '-outform', 'DER'], pem));
  const jwk = (key: { export(options: { format: 'jwk' }): object }) => key.export({ format: 'jwk' });
  const privateForms: [string, string][] = [
    ['Private key, PKCS#8', pem.replaceAll('\n', '\r\n')],
    ['Private key, PKCS#8', JSON.stringify(pem)],
    ['Private key, PKCS#1', openssl(['rsa', '-traditional'], pem).toString()],
    ['Private key, OpenSSH', readFileSync(sshFile, 'utf8')],
    ['Private key, JSON Web Key', JSON.stringify({ keys: [jwk(createPrivateKey(pem))] })],
  ];
  for (const [form, text] of privateForms) {
    await examine(page, text);
    await expect(page.getByRole('heading', { name: form, exact: true })).toBeVisible();
    const { file } = await download(page, 'Download private key');
    expect(readFileSync(file, 'utf8'), form).toBe(pem);
  }
  await examine(page, JSON.stringify(pem));
  await expect(page.getByText('The line breaks are written as \\n.')).toBeVisible();

  const certificate = openssl(['req', '-x509', '-subj', '/CN=ledger', '-key', privateFile]).toString();
  const publicForms: [string, string][] = [
    ['Public key, SPKI', publicPem],
    ['Public key, OpenSSH', execFileSync('ssh-keygen', ['-y', '-f', sshFile]).toString()],
    ['Public key, JSON Web Key', JSON.stringify(jwk(createPublicKey(publicPem)))],
    ['Certificate, which holds a public key', certificate],
  ];
  for (const [form, text] of publicForms) {
    await examine(page, text);
    await expect(page.getByRole('heading', { name: form, exact: true })).toBeVisible();
    await expect(page.getByText('RSA, 2048 bits')).toBeVisible();
    await expect(page.getByRole('button', { name: /private key/ })).toHaveCount(0);
    await page.getByRole('button', { name: 'Copy public key' }).click();
    await expect(page.getByText('Public key copied.')).toBeVisible();
    expect(await clipboard(page), form).toBe(publicPem);
  }

  // A file, chosen and dropped.
  await page.getByLabel(/Choose its file/).setInputFiles(der);
  await expect(page.getByRole('heading', { name: 'Private key, PKCS#8', exact: true })).toBeVisible();
  await page.getByRole('button', { name: 'Clear' }).click();
  await expect(page.getByRole('heading', { name: 'Private key, PKCS#8', exact: true })).toHaveCount(0);
  const transfer = await page.evaluateHandle((bytes) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], 'key.der'));
    return data;
  }, [...readFileSync(der)]);
  await page.dispatchEvent('main', 'drop', { dataTransfer: transfer });
  await expect(page.getByRole('heading', { name: 'Private key, PKCS#8', exact: true })).toBeVisible();
});

test('the doctor opens an encrypted key with its passphrase, and says what a wrong one is', async ({ page }) => {
  await signIn(page);
  await page.goto(CHECK_KEY);
  const pem = readFileSync(externalKeyPair().privateFile, 'utf8');
  await examine(page, openssl(['pkcs8', '-topk8', '-passout', `pass:${PASSPHRASE}`], pem).toString());
  await expect(page.getByText('This key is encrypted. Type its passphrase')).toBeVisible();
  const passphrase = page.getByLabel('Passphrase of the key');
  await expect(passphrase).toBeFocused();
  await passphrase.fill('wrong');
  await passphrase.press('Enter');
  await expect(page.getByText('This passphrase does not open the key.')).toBeVisible();
  await passphrase.fill(PASSPHRASE);
  await passphrase.press('Enter');
  await expect(page.getByRole('heading', { name: 'Private key, PKCS#8, encrypted with a passphrase' })).toBeVisible();
  expect(readFileSync((await download(page, 'Download private key')).file, 'utf8')).toBe(pem);
});

test('the doctor says what is wrong with a key, and what to do', async ({ page }) => {
  await signIn(page);
  await page.goto(CHECK_KEY);
  const pem = readFileSync(externalKeyPair().privateFile, 'utf8');
  const cases: [string, string][] = [
    [openssl(['genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024']).toString(), 'This key has 1024 bits. Use at least 2048'],
    [openssl(['genpkey', '-algorithm', 'ED25519']).toString(), 'This is an Ed25519 key. Requests are signed with RS256: use an RSA key.'],
    [openssl(['ecparam', '-genkey', '-name', 'prime256v1']).toString(), 'This is an elliptic-curve (EC) key.'],
    [pem.slice(0, 800), 'The end of this key is missing'],
    ['hello', 'No key was recognised here.'],
  ];
  for (const [text, words] of cases) {
    await examine(page, text);
    await expect(page.getByText(words)).toBeVisible();
    await expect(page.getByText('Private key (PKCS#8, PEM)')).toHaveCount(0);
  }
});

test('nothing of a key is sent or kept', async ({ page, context }) => {
  await signIn(page);
  await page.goto(CHECK_KEY);
  const pem = readFileSync(externalKeyPair().privateFile, 'utf8');
  const encrypted = openssl(['pkcs8', '-topk8', '-passout', `pass:${PASSPHRASE}`], pem).toString();
  const requests: Request[] = [];
  // Events of the context include the requests of workers.
  context.on('request', (request) => requests.push(request));
  await examine(page, encrypted);
  await page.getByLabel('Passphrase of the key').fill(PASSPHRASE);
  await page.getByRole('button', { name: 'Check key' }).click();
  await expect(page.getByText('Private key (PKCS#8, PEM)')).toBeVisible();
  await page.getByLabel('Protect it with a passphrase').check();
  await page.getByRole('textbox', { name: 'Passphrase', exact: false }).last().fill('another passphrase');
  await download(page, 'Download encrypted private key');
  // Only the module is fetched, from URLs that cannot carry other data.
  const isModule = (request: Request) =>
    request.method() === 'GET' &&
    request.postData() === null &&
    /^\/assets\/keydoctor(-worker)?\.[0-9a-f]{16}(_bg)?\.(js|wasm)$/.test(new URL(request.url()).pathname) &&
    new URL(request.url()).search === '';
  const others = () => requests.filter((request) => !isModule(request) && !/^(blob|data):/.test(request.url())).map((request) => request.url());
  expect(others()).toEqual([]);
  // The worker itself fetches its WASM, which shows that requests from workers are observed.
  expect(requests.filter(isModule).map((request) => request.url().replace(/.*\./, ''))).toContain('wasm');

  const secret = pem.split('\n')[6];
  const kept = await page.evaluate(() => ({
    html: document.documentElement.outerHTML,
    storage: JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie + location.href,
  }));
  for (const [place, text] of Object.entries(kept)) expect(text, place).not.toContain(secret);

  // A page in the back/forward cache must not contain the key.
  await page.evaluate(() => window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
  await expect(page.getByText('Private key (PKCS#8, PEM)')).toHaveCount(0);
  for (const field of await page.locator('[data-key-doctor] :is(textarea, input:not([type=checkbox]))').all()) {
    await expect(field).toHaveValue('');
  }

  // Positive control: a deliberate request is detected.
  await page.evaluate(() => fetch('/healthz?leak=1'));
  expect(others()).toHaveLength(1);
  expect(others()[0]).toContain('/healthz?leak=1');
});

test('the doctor and its results have no axe violation, light and dark, wide and narrow', async ({ page }) => {
  test.setTimeout(120_000);
  await signIn(page);
  const pair = externalKeyPair();
  await createApplication(page, uniqueName('Accessible doctor'), pair);
  await page.goto(CHECK_KEY);
  const pem = readFileSync(pair.privateFile, 'utf8');
  const encrypted = openssl(['pkcs8', '-topk8', '-passout', 'pass:x'], pem).toString();
  const states: [string, () => Promise<unknown>][] = [
    ['empty', async () => undefined],
    ['a passphrase is needed', () => examine(page, encrypted)],
    ['two keys and a note', async () => {
      await examine(page, `KEY='${pem}${pair.publicPem}'`);
      await page.getByLabel('Protect it with a passphrase').check();
    }],
  ];
  for (const [state, reach] of states) {
    await reach();
    await check(page, state);
  }
});
