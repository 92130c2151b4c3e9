import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { check } from './accessible';
import { Instance, newData } from './instance';
import { type Account, IdentityProvider } from './provider';
import { APPLICATIONS, expect, PASSWORD, signIn, test as base } from './support';

interface Surroundings {
  /** Users of Alpine Pay's provider, by login. */
  accounts: Map<string, Account>;
  console: string;
  /** The server's log, and the secret that must not appear in it. */
  log: () => string;
  secret: string;
}

/** A server with two identity providers: Alpine Pay's and Nuvera's. */
const test = base.extend<{ surroundings: Surroundings }>({
  surroundings: async ({}, use) => {
    const accounts = new Map<string, Account>([
      ['dora', { email: 'dora@alpine.example', name: 'Dora Dahl', groups: ['developers', 'hikers'] }],
      ['nils', { email: 'nils@alpine.example', name: 'Nils Nobody', groups: ['hikers'] }],
    ]);
    const sam = { email: 'sam@nuvera.example', name: 'Sam Support', groups: ['support'], amr: ['pwd', 'mfa'] };
    const support = new Map([['sam', sam]]);
    const file = join(mkdtempSync(join(tmpdir(), 'nuvera-sso-')), 'sso.toml');
    const instance = await Instance.create(newData(), '--demo', '--sso', file);
    const alpine = await IdentityProvider.start(`${instance.console}/sign-in/sso/alpine-id/callback`, accounts);
    const nuvera = await IdentityProvider.start(`${instance.console}/organizations/sign-in/sso/nuvera-id/callback`, support);
    const partner = { developers: 'partner_developer', viewers: 'partner_viewer' };
    writeFileSync(
      file,
      alpine.settings('alpine-id', 'Alpine ID', 'Alpine Pay', 'alpine.example', partner) +
        nuvera.settings('nuvera-id', 'Nuvera ID', 'Nuvera', 'nuvera.example', { support: 'nuvera_admin' }),
    );
    await instance.start(undefined, { NUVERA_TEST_CLIENT_SECRET: alpine.secret });
    const log = () => Buffer.concat(instance.logged).toString();
    await use({ accounts, console: instance.console, log, secret: alpine.secret });
    await instance.stop('SIGTERM');
    await Promise.all([alpine.stop(), nuvera.stop()]);
  },
  baseURL: async ({ surroundings }, use) => use(surroundings.console),
});

/** Logs in on the provider's page. */
async function logIn(page: Page, login: string) {
  await page.getByLabel('Login').fill(login);
  await page.getByRole('button', { name: 'Continue' }).click();
}

async function signInWithAlpine(page: Page, login: string) {
  await page.goto(APPLICATIONS);
  await page.getByRole('link', { name: 'Sign in with Alpine ID' }).click();
  await logIn(page, login);
}

test('somebody joins by their organization’s provider, is known the next time, and is what it says', async ({
  page,
  otherPage: owner,
  surroundings,
}) => {
  const answers: URL[] = [];
  page.on('request', (request) => {
    if (request.url().includes('/callback?')) answers.push(new URL(request.url()));
  });
  await signInWithAlpine(page, 'dora');
  await expect(page).toHaveURL(new RegExp(`${APPLICATIONS}$`));
  await expect(page.getByText('Dora Dahl')).toBeVisible();
  await expect(page.getByRole('link', { name: 'Create API application' }).first()).toBeVisible();
  await signIn(owner);
  await owner.goto('/settings/platform/people');
  await expect(owner.getByRole('row', { name: /Dora Dahl/ })).toContainText('Developer');

  // The provider still has a session, so it does not ask again. Her groups have changed, and the history records it.
  await page.getByRole('button', { name: 'Sign out' }).click();
  surroundings.accounts.get('dora')!.groups = ['viewers'];
  await page.getByRole('link', { name: 'Sign in with Alpine ID' }).click();
  await expect(page.getByText('Dora Dahl')).toBeVisible();
  await expect(page.getByRole('link', { name: 'Create API application' })).toHaveCount(0);
  await owner.goto(`${APPLICATIONS}/audit`);
  const history = owner.getByRole('main');
  await expect(history).toContainText('Role changed');
  await expect(history).toContainText('Person joined');
  await expect(history).toContainText('By single sign-on with Alpine ID');

  // Values that passed through the browser, and the provider's credentials, are not in the log; the sign-in is.
  expect(answers).toHaveLength(2);
  const secrets = answers.flatMap((answer) => ['code', 'state'].map((name) => answer.searchParams.get(name)!));
  for (const secret of [surroundings.secret, ...secrets]) expect(surroundings.log()).not.toContain(secret);
  expect(surroundings.log()).toContain('signed in by single sign-on');
});

test.describe('who does not get in', () => {
  test.use({ expectedErrors: /status of (403|422)/ });

  test('is told calmly why, and what to do', async ({ page, surroundings, javaScriptEnabled }) => {
    // axe needs scripts.
    const look = async (what: string) => javaScriptEnabled !== false && check(page, what);
    await page.goto('/sign-in');
    await look('sign-in, with a provider');
    await page.getByRole('link', { name: 'Sign in with Alpine ID' }).click();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('You are not signed in');
    await expect(page.getByText('did not confirm who you are')).toBeVisible();
    await look('single sign-on, declined');
    await page.getByRole('link', { name: 'Try Alpine ID again' }).click();
    await logIn(page, 'nils');
    await expect(page.getByText('gives you no role in this console')).toBeVisible();
    await expect(page.getByText('Request id')).toBeVisible();

    surroundings.accounts.get('nils')!.groups = ['viewers'];
    await page.getByRole('link', { name: 'Try Alpine ID again' }).click();
    await expect(page.getByText('Nils Nobody')).toBeVisible();
    // The user has no password, so no password is accepted.
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Email').fill('nils@alpine.example');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page.getByText('do not belong together').first()).toBeVisible();
  });
});

test('a fresh proof is given at the provider, which asks anew', async ({ page, javaScriptEnabled }) => {
  await signInWithAlpine(page, 'dora');
  await expect(page.getByText('Dora Dahl')).toBeVisible();
  const cookies = await page.context().cookies();
  await page.goto(`/confirm?next=${APPLICATIONS}/new`);
  await expect(page.getByLabel('Password')).toHaveCount(0);
  if (javaScriptEnabled !== false) await check(page, 'confirm with a provider');
  await page.getByRole('link', { name: 'Confirm with Alpine ID' }).click();
  await expect(page.getByText('Asked to: login')).toBeVisible();
  await logIn(page, 'dora');
  await expect(page).toHaveURL(new RegExp(`${APPLICATIONS}/new$`));
  const session = (all: typeof cookies) => all.find((cookie) => cookie.name === 'nuvera')!.value;
  expect(session(await page.context().cookies())).not.toBe(session(cookies));
});

test('two tabs sign in at once, and each lands on its own page', async ({ page }) => {
  const other = await page.context().newPage();
  const answers: string[] = [];
  other.on('request', (request) => {
    if (request.url().includes('/callback?')) answers.push(request.url());
  });
  const tabs = [
    { tab: page, path: '/settings/platform/people' },
    { tab: other, path: '/settings/account' },
  ];
  for (const { tab, path } of tabs) {
    await tab.goto(`/sign-in/sso/alpine-id?next=${path}`);
    await expect(tab.getByLabel('Login')).toBeVisible();
  }
  for (const { tab, path } of tabs) {
    await logIn(tab, 'dora');
    await expect(tab).toHaveURL(new RegExp(`${path}$`));
    await expect(tab.getByText('Dora Dahl').first()).toBeVisible();
  }
  // The same answer once more leads on, and signs nobody in.
  const session = async () => (await page.context().cookies()).find((cookie) => cookie.name === 'nuvera')!.value;
  const before = await session();
  await other.goto(answers[0]!);
  await expect(other).toHaveURL(/\/settings\/account$/);
  expect(await session()).toBe(before);
});

test('each provider speaks for its own organization', async ({ page, otherPage }) => {
  await signInWithAlpine(page, 'dora');
  await expect(page.getByText('Dora Dahl')).toBeVisible();
  await otherPage.goto('/organizations');
  await otherPage.getByRole('link', { name: 'Sign in with Nuvera ID' }).click();
  await logIn(otherPage, 'sam');
  await expect(otherPage).toHaveURL(/\/organizations$/);
  await expect(otherPage.getByText('Sam Support')).toBeVisible();
  await expect(otherPage.getByRole('link', { name: 'Alpine Pay' })).toBeVisible();
});
