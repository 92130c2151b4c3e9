import type { Page } from '@playwright/test';
import { CONSOLE } from './addresses';
import {
  APPLICATIONS,
  createApplication,
  enterPasswordHere,
  expect,
  externalKeyPair,
  PASSWORD,
  signIn,
  signInAsNewAdmin,
  test,
  uniqueName,
} from './support';

// Tests access control: who can open which pages.

test.describe('a customer-platform user', () => {
  test.use({ expectedErrors: /status of 403/ });

  test('is refused in words, and stays signed out', async ({ page }) => {
    await page.goto('/sign-in');
    await page.getByLabel('Email').fill('user@customer.example');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('API applications are for partner organizations');
    await page.goto(APPLICATIONS);
    await expect(page).toHaveURL(/sign-in/);
  });
});

test.describe('a stranger', () => {
  test.use({ expectedErrors: /status of 404/ });

  test('finds nothing at another organization’s addresses', async ({ page }) => {
    await signIn(page);
    const application = await createApplication(page, uniqueName('Private'), externalKeyPair());
    await page.getByRole('button', { name: 'Sign out' }).click();
    await signIn(page, 'owner@borealis.example');
    await page.goto(application.path);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Page not found');
    await page.goto(APPLICATIONS);
    await expect(page.getByText(application.name)).toHaveCount(0);
  });
});

/** Returns every URL about an application that its owner and an admin can find, including POST-only ones. */
async function addresses(owner: Page, admin: Page, application: { path: string; name: string }) {
  const linked = async (page: Page, path: string) => {
    await page.goto(path);
    const links = await page.locator('a').evaluateAll((all) => all.map((link) => (link as HTMLAnchorElement).pathname));
    return [path, ...links.filter((link) => link.startsWith(path))];
  };
  const own = await linked(owner, application.path);
  const keys = new Set(own.flatMap((path) => path.match(/.*\/api-keys\/[^/]+/) ?? []));
  const forms = [...keys].flatMap((key) => [`${key}/keep`, `${key}/stored`, `${key}/deadline`]);
  const files = ['/audit.csv', '/audit.jsonl', '/claim-replacement', '/withdraw-replacement'];
  await admin.goto('/organizations');
  await admin.getByRole('link', { name: 'Alpine Pay' }).click();
  const organization = new URL(admin.url()).pathname;
  const ofOrganization = ['', '/rotation-policy', '/security-policy', '/audit', '/audit.csv', '/audit.jsonl'].map((end) => organization + end);
  await admin.getByRole('link', { name: application.name, exact: true }).click();
  const inHub = await linked(admin, new URL(admin.url()).pathname);
  return {
    settings: [...new Set([...own, ...forms, ...files.map((file) => application.path + file)])],
    hub: [...new Set([...ofOrganization, ...inHub])],
  };
}

/** Returns the statuses of a GET and a POST of the URL. */
async function answers(page: Page, address: string): Promise<number[]> {
  const options = { maxRedirects: 0, headers: { origin: CONSOLE } };
  const form = { version: '2', reason: 'none of my business', grace: '3600', overlap: 'none', name: 'Stolen' };
  const [opened, sent] = [await page.request.get(address, options), await page.request.post(address, { ...options, form })];
  return [opened.status(), sent.status()];
}

test('another organization’s ids lead nowhere, whoever asks and however', async ({ page, otherPage: admin }) => {
  test.setTimeout(120_000);
  await signIn(page);
  const application = await createApplication(page, uniqueName('Foreign'), externalKeyPair());
  await signIn(admin, 'admin@nuvera.example');
  const { settings, hub } = await addresses(page, admin, application);
  expect(settings.length).toBeGreaterThan(15);
  expect(hub.length).toBeGreaterThan(8);
  // Positive control: authorized users can open them.
  for (const address of settings) expect((await page.request.get(address)).status(), address).toBe(200);
  for (const address of hub) expect((await admin.request.get(address)).status(), address).toBe(200);

  // Sessions are not valid in the other area: an admin's is not in the partner's settings, for any id.
  const nobody = [303, 403];
  for (const address of settings) expect(await answers(admin, address), address).toEqual(nobody);
  await page.context().clearCookies();
  for (const email of ['owner@borealis.example', 'owner@alpine.example', 'developer@alpine.example']) {
    await signIn(page, email);
    for (const address of email.includes('borealis') ? settings : []) {
      for (const status of await answers(page, address)) expect([404, 405], `${email} ${address}`).toContain(status);
    }
    for (const address of hub) expect(await answers(page, address), `${email} ${address}`).toEqual(nobody);
    await page.context().clearCookies();
  }
  // Unauthenticated users and users of a customer platform, who cannot sign in, only reach the sign-in page.
  await page.goto('/sign-in');
  await page.request.post('/sign-in', {
    headers: { origin: CONSOLE },
    form: { email: 'user@customer.example', password: PASSWORD },
  });
  for (const address of [...settings, ...hub]) expect(await answers(page, address), address).toEqual(nobody);
  await signIn(page);
  await page.goto(application.path);
  await expect(page.getByRole('heading', { level: 1 }), 'and nothing was changed').toHaveText(application.name);
});

test.describe('at the other area’s door', () => {
  test.use({ expectedErrors: /status of 403/ });

  test('somebody is told which one is theirs, and gets in there', async ({ page }) => {
    const admin = await signInAsNewAdmin(page);
    await page.getByRole('button', { name: 'Sign out' }).click();
    const owner = { email: 'owner@alpine.example', password: PASSWORD, recoveryCodes: [] };
    const theirs = [];
    for (const [door, somebody, name] of [
      ['/sign-in', admin, 'Sign in to the organization hub'],
      ['/organizations/sign-in', owner, 'Sign in as a partner'],
    ] as const) {
      await page.goto(door);
      await enterPasswordHere(page, somebody.email, somebody.password);
      await page.getByRole('link', { name, exact: true }).click();
      await expect(page.getByLabel('Password')).toBeEmpty();
      theirs.push({ somebody, way: page.url() });
    }
    for (const { somebody, way } of theirs) {
      await page.goto(way);
      await enterPasswordHere(page, somebody.email, somebody.password);
      if (somebody.recoveryCodes.length > 0) {
        await page.getByRole('textbox', { name: 'Code' }).fill(somebody.recoveryCodes[0]);
        await page.getByRole('button', { name: 'Sign in' }).click();
      }
      await expect(page.getByRole('button', { name: 'Sign out' })).toBeVisible();
    }
    // Both users are signed in in this browser, each in their own area.
    await page.goto('/organizations');
    await expect(page.getByText('Ada Admin')).toBeVisible();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await expect(page).toHaveURL(/\/organizations\/sign-in/);
    await page.goto(APPLICATIONS);
    await expect(page.getByText('Olivia Okafor')).toBeVisible();
  });
});

test('a Nuvera admin lands in the organization hub', async ({ page }) => {
  await signIn(page, 'admin@nuvera.example');
  await expect(page).toHaveURL(/\/organizations$/);
  await expect(page.getByText('Alpine Pay')).toBeVisible();
});

test('an organization without applications is told the first step', async ({ page }) => {
  await signIn(page, 'owner@borealis.example');
  await expect(page.getByRole('link', { name: 'Create API application' }).first()).toBeVisible();
});

test('the one-time key is not on any later page, nor behind the back button', async ({ page, javaScriptEnabled }) => {
  await signIn(page);
  const application = await createApplication(page, uniqueName('Once'), externalKeyPair());
  const secret = application.apiKey.slice(13);
  await page.goto(application.path);
  expect(await page.content()).not.toContain(secret);
  // The page with the key is not cached. With scripts, the application's page has replaced its history entry. Without,
  // the browser would have to submit the form again, and shows nothing.
  if (javaScriptEnabled === false) {
    await expect(page.goBack()).rejects.toThrow(/ERR_CACHE_MISS/);
  } else {
    await page.goBack();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText(application.name);
  }
  // The browser may still be navigating to its error page.
  await expect(async () => expect(await page.content()).not.toContain(secret)).toPass();
});
