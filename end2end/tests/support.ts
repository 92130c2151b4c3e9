import { test as base, expect, type Page } from '@playwright/test';
import { execFile, execFileSync } from 'node:child_process';
import { createHash, createHmac, createSign, generateKeyPairSync, randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GATEWAY, SERVER } from './addresses';

export { expect };

export const PASSWORD = 'nuvera-demo-password';
export const APPLICATIONS = '/settings/platform/api-applications';

/** Fails a test on console errors and uncaught exceptions. */
export const test = base.extend<{ expectedErrors: RegExp; otherPage: Page }>({
  /** Console errors that a test provokes on purpose. Browsers report every response with status 400 or above. */
  expectedErrors: [/^$/, { option: true }],
  page: async ({ page, expectedErrors, javaScriptEnabled }, use) => {
    const check = watch(page, javaScriptEnabled);
    await use(page);
    check(expectedErrors);
  },
  /** Page of a second user in another browser context, watched in the same way. */
  otherPage: async ({ browser, contextOptions, baseURL, expectedErrors, javaScriptEnabled }, use) => {
    const context = await browser.newContext({ ...contextOptions, baseURL, javaScriptEnabled });
    const page = await context.newPage();
    const check = watch(page, javaScriptEnabled);
    await use(page);
    check(expectedErrors);
    await context.close();
  },
});

/** Watches a page for errors. Returns a function that reports whether there were any. */
function watch(page: Page, javaScriptEnabled?: boolean) {
  const errors: string[] = [];
  // Without scripts, the browser warns about unused preloads.
  const told = javaScriptEnabled === false ? ['error'] : ['error', 'warning'];
  page.on('console', (message) => {
    if (told.includes(message.type())) errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(String(error)));
  return (expected: RegExp) => {
    const unexpected = errors.filter((error) => !expected.test(error));
    expect(unexpected, 'errors in the browser’s console').toEqual([]);
  };
}

/** Returns the latest password reset link mailed to `email`. */
export function mailedResetLink(email: string) {
  const folder = join(process.env.NUVERA_END2END_DATA!, 'mail');
  const files = readdirSync(folder).map((name) => join(folder, name));
  files.sort((one, other) => statSync(other).mtimeMs - statSync(one).mtimeMs);
  for (const file of files) {
    const letter = readFileSync(file, 'utf8').replaceAll('=\r\n', '').replaceAll('=3D', '=');
    const link = /\S+\/reset-password\?token=\S+/.exec(letter);
    if (letter.includes(`To: ${email}`) && link) return link[0];
  }
  throw new Error(`no link was mailed to ${email}`);
}

/** Signs in. Each test uses a Nuvera admin of its own: TOTP codes are single-use, and tests run in parallel. */
export async function signIn(page: Page, email = 'owner@alpine.example') {
  if (email === 'admin@nuvera.example') {
    await signInAsNewAdmin(page);
    return;
  }
  await enterPassword(page, email);
  await expect(page).not.toHaveURL(/sign-in/);
}

/** Enters an address and a password on the sign-in page of the user's area. */
export async function enterPassword(page: Page, email: string, password = PASSWORD) {
  await page.goto(email.endsWith('@nuvera.example') ? '/organizations/sign-in' : '/sign-in');
  await enterPasswordHere(page, email, password);
}

/** Enters an address and a password on the current sign-in page. */
export async function enterPasswordHere(page: Page, email: string, password = PASSWORD) {
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** A Nuvera admin with a second factor. */
export interface Admin {
  email: string;
  password: string;
  /** TOTP secret. */
  secret: string;
  recoveryCodes: string[];
}

/** Creates an admin with the operator's command for `data`, and sets up a second factor in the console. */
export async function signInAsNewAdmin(page: Page, data = process.env.NUVERA_END2END_DATA!): Promise<Admin> {
  const [email, password] = [`ada.${randomUUID()}@nuvera.example`, randomUUID()];
  execFileSync(SERVER, ['create-admin', '--data', data, '--email', email, '--name', 'Ada Admin'], {
    input: `${password}\n`,
    stdio: 'pipe',
  });
  await enterPassword(page, email, password);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Set up a second factor');
  const secret = (await page.locator('#factor-secret').innerText()).replaceAll(/\s/g, '');
  await page.getByRole('textbox', { name: 'Code' }).fill(totp(secret));
  await page.getByRole('button', { name: 'Set up the second factor' }).click();
  const recoveryCodes = (await page.locator('#recovery-codes').innerText()).trim().split('\n');
  await page.getByRole('button', { name: 'I have stored these codes' }).click();
  await expect(page).toHaveURL(/organizations$/);
  return { email, password, secret, recoveryCodes };
}

/** Returns the link in the only message with a link to `email`. The server writes e-mails to files. */
export function mailedLink(email: string, data = process.env.NUVERA_END2END_DATA!): string {
  const folder = join(data, 'mail');
  const messages = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  const mine = messages.filter((message) => message.includes(`To: ${email}\r\n`));
  const links = mine.flatMap((message) => message.replaceAll('=\r\n', '').replaceAll('=3D', '=').match(/\S+\?token=\S+/g) ?? []);
  expect(links, `links for ${email}`).toHaveLength(1);
  return links[0];
}

/** Returns the TOTP code for a secret (RFC 6238). */
export function totp(secret: string, millis = Date.now()): string {
  const digits = [...secret].map((digit) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(digit));
  const bits = digits.map((digit) => digit.toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g)!.map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigInt64BE(BigInt(Math.floor(millis / 30_000)));
  const tag = createHmac('sha1', key).update(step).digest();
  const number = (tag.readUInt32BE(tag[19] & 0xf) & 0x7fffffff) % 1_000_000;
  return String(number).padStart(6, '0');
}

/** Returns a name that no other test uses. */
export function uniqueName(stem: string): string {
  return `${stem} ${randomUUID().slice(0, 8)}`;
}

export interface KeyPair {
  publicPem: string;
  /** File with the private key, PKCS#8 PEM. */
  privateFile: string;
}

/** Generates a key pair outside the browser. */
export function externalKeyPair(): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const privateFile = join(mkdtempSync(join(tmpdir(), 'nuvera-key-')), 'private.pem');
  writeFileSync(privateFile, privateKey, { mode: 0o600 });
  return { publicPem: publicKey, privateFile };
}

/** Generates a pair on the page, and returns the file that the private key was downloaded to. */
export async function generatePair(page: Page, bits: string): Promise<string> {
  await page.getByLabel('Generate it in this browser').check();
  await page.getByLabel('Size').selectOption(bits);
  await page.getByRole('button', { name: 'Generate key pair' }).click();
  await expect(page.getByText('The key pair is ready.')).toBeVisible({ timeout: 45_000 });
  const downloading = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download private key' }).click();
  const download = await downloading;
  expect(download.suggestedFilename()).toMatch(/\.pem$/);
  const file = join(mkdtempSync(join(tmpdir(), 'nuvera-key-')), 'private.pem');
  await download.saveAs(file);
  await page.getByLabel('I have stored the private key').check();
  return file;
}

export interface Application {
  name: string;
  path: string;
  apiKey: string;
}

/** Creates an application with a pasted public key, and confirms its API key as stored. */
export async function createApplication(
  page: Page,
  name: string,
  pair: KeyPair,
  permissions: string[] = [],
): Promise<Application> {
  await page.goto(`${APPLICATIONS}/new`);
  await page.getByLabel('Application name').fill(name);
  await choosePasting(page);
  await page.getByLabel('Public key (PEM)').fill(pair.publicPem);
  for (const permission of permissions) await page.locator(`input[value="${permission}"]`).check();
  await page.getByRole('button', { name: 'Create API application' }).click();
  const apiKey = await storeShownKey(page);
  return { name, path: new URL(page.url()).pathname, apiKey };
}

/** Selects pasting. Without scripts it is the only way, and there is no choice. */
export async function choosePasting(page: Page) {
  const choice = page.getByLabel('Paste a public key');
  if (await choice.isVisible()) await choice.check();
}

/** Returns the key that is shown once, and confirms that it is stored, which opens the application's page. */
export async function storeShownKey(page: Page): Promise<string> {
  const apiKey = await page.locator('#one-time-key').innerText();
  expect(apiKey).toMatch(/^nvk_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}$/);
  await page.getByRole('button', { name: 'I have stored this key' }).click();
  await expect(page.getByText('The API key is confirmed as stored.')).toBeVisible();
  return apiKey;
}

/** Observes the page's long tasks (over 50 ms). Returns a function that reports the longest, in milliseconds. */
export async function watchTasks(page: Page): Promise<() => Promise<number>> {
  await page.evaluate(() => {
    const seen: number[] = [];
    new PerformanceObserver((list) => seen.push(...list.getEntries().map((entry) => entry.duration))).observe({
      type: 'longtask',
    });
    Object.assign(window, { longTasks: seen });
  });
  const longest = () =>
    page.evaluate(() => Math.max(0, ...(window as unknown as { longTasks: number[] }).longTasks.splice(0)));
  // Positive control: a blocked main thread is detected.
  await page.evaluate(() => {
    setTimeout(() => {
      const end = performance.now() + 120;
      while (performance.now() < end);
    });
  });
  await expect.poll(longest).toBeGreaterThan(50);
  return longest;
}

/** Returns the clipboard's text by pasting it in another page, because the console's pages may not read it. */
export async function clipboard(page: Page): Promise<string> {
  const elsewhere = await page.context().newPage();
  await elsewhere.setContent('<textarea autofocus></textarea>');
  const field = elsewhere.locator('textarea');
  await field.press('ControlOrMeta+V');
  const text = await field.inputValue();
  await elsewhere.close();
  await page.bringToFront();
  return text;
}

/** Returns the form in which a key is shown afterwards. */
export function shownAs(apiKey: string): string {
  return `${apiKey.slice(0, 12)}…${apiKey.slice(-4)}`;
}

export type Client = 'jose' | 'openssl' | 'pyjwt';

export interface Answer {
  status: number;
  body: Record<string, any>;
}

const PROGRAMS: Record<Client, [string, string[]]> = {
  jose: ['node', ['clients/jose.mjs']],
  openssl: ['bash', ['clients/openssl.sh']],
  pyjwt: ['.venv/bin/python', ['clients/pyjwt_client.py']],
};

/** Sends one request through the gateway, signed by a third-party client. */
export async function send(
  client: Client,
  apiKey: string,
  privateFile: string,
  request: { method?: string; uri?: string; body?: string } = {},
  { gateway, environment }: { gateway: string; environment?: NodeJS.ProcessEnv } = { gateway: GATEWAY },
): Promise<Answer> {
  const [program, args] = PROGRAMS[client];
  const { stdout } = await promisify(execFile)(program, args, {
    env: {
      ...process.env,
      ...environment,
      NUVERA_API_KEY: apiKey,
      NUVERA_PRIVATE_KEY_FILE: privateFile,
      NUVERA_GATEWAY: gateway,
      NUVERA_METHOD: request.method ?? 'GET',
      NUVERA_URI: request.uri ?? '/api/v1/signature-test',
      NUVERA_BODY: request.body ?? '',
    },
  });
  const [status, ...body] = stdout.split('\n');
  return { status: Number(status), body: JSON.parse(body.join('\n')) };
}

export async function expectAccepted(answer: Answer | Promise<Answer>) {
  const { status, body } = await answer;
  expect(body).toMatchObject({ verified: true });
  expect(status).toBe(200);
  return body;
}

export async function expectRefused(answer: Answer | Promise<Answer>, code: string, status = 401) {
  const refused = await answer;
  expect(refused.body).toMatchObject({ code, status });
  expect(refused.status).toBe(status);
  return refused.body;
}

/** Opens a page of the application by its link. */
export async function openAction(page: Page, application: { path: string }, link: string) {
  await page.goto(application.path);
  await page.getByRole('link', { name: link, exact: true }).first().click();
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
}

/** Returns a request token, signed without a JWT library, at the time `millis`. */
export function signedToken(
  apiKey: string,
  privateFile: string,
  uri = '/api/v1/signature-test',
  millis = Date.now(),
): string {
  const now = Math.floor(millis / 1000);
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode({
    iss: 'nuvera-api',
    aud: 'nuvera-rest-api',
    sub: apiKey,
    method: 'GET',
    uri,
    bodyHash: createHash('sha256').digest('hex'),
    iat: now,
    exp: now + 60,
    jti: randomUUID(),
  })}`;
  const signature = createSign('RSA-SHA256').update(input).sign(readFileSync(privateFile)).toString('base64url');
  return `${input}.${signature}`;
}

/** Sends a token. Returns `accepted`, or the error code. */
export async function present(
  gateway: string,
  apiKey: string,
  bearer: string,
  uri = '/api/v1/signature-test',
): Promise<string> {
  const response = await fetch(gateway + uri, {
    headers: { 'x-api-key': apiKey, authorization: `Bearer ${bearer}` },
  });
  const body = await response.json();
  return response.status === 200 ? 'accepted' : body.code;
}

/** A partner's service. Sends signed requests until it is stopped, and records the outcome of each. */
export class Traffic {
  private readonly seen: { startedAt: number; outcome: string }[] = [];
  private running = true;
  private readonly ended: Promise<void>;

  constructor(
    apiKey: string,
    privateFile: string,
    { uri, gateway = GATEWAY, now = Date.now }: { uri?: string; gateway?: string; now?: () => number } = {},
  ) {
    const request = () => present(gateway, apiKey, signedToken(apiKey, privateFile, uri, now()), uri);
    this.ended = this.run(request);
  }

  private async run(request: () => Promise<string>) {
    while (this.running) {
      const startedAt = performance.now();
      const outcome = await request();
      this.seen.push({ startedAt, outcome });
      await new Promise((next) => setTimeout(next, 20));
    }
  }

  /** Waits until several requests started after this call have completed, and asserts that all had `outcome`. */
  async expectNow(outcome: string) {
    const from = performance.now();
    const since = () => this.seen.filter(({ startedAt }) => startedAt >= from).map((request) => request.outcome);
    await expect.poll(() => since().length).toBeGreaterThan(5);
    expect(new Set(since())).toEqual(new Set([outcome]));
  }

  async stop() {
    this.running = false;
    await this.ended;
  }
}
