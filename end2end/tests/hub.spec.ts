import type { Page } from '@playwright/test';
import {
  createApplication,
  expect,
  externalKeyPair,
  openAction,
  shownAs,
  signIn,
  test,
  Traffic,
  uniqueName,
} from './support';

// Tests incident response by an admin: any identifier finds the application, and a leaked signing key is stopped
// everywhere.

test.use({ expectedErrors: /status of 422/ });

async function search(admin: Page, text: string) {
  await admin.goto('/organizations');
  await admin.getByLabel('Search', { exact: true }).fill(text);
  await admin.getByLabel('Search', { exact: true }).press('Enter');
}

test('one field finds an application by its name, key, fingerprint and request', async ({ page, otherPage: admin }) => {
  test.setTimeout(120_000);
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Sought'), pair);
  const traffic = new Traffic(application.apiKey, pair.privateFile);
  await traffic.expectNow('accepted');
  await traffic.stop();
  const fingerprint = await page.locator('#signing-keys code').first().innerText();
  await page.goto(`${application.path}/requests`);
  await page.locator('#live-requests').getByRole('link').first().click();
  const request = new URL(page.url()).pathname.split('/').at(-1)!;

  await signIn(admin, 'admin@nuvera.example');
  // Part of a name lists the application; the full name opens it.
  await search(admin, application.name.slice(0, -2).toUpperCase());
  await expect(admin.getByRole('row').filter({ hasText: application.name })).toContainText('Enabled');
  await search(admin, application.name);
  await expect(admin.getByRole('heading', { level: 1 })).toHaveText(application.name);
  await search(admin, shownAs(application.apiKey));
  await expect(admin.getByRole('heading', { level: 1 })).toHaveText(application.name);
  await search(admin, request);
  await expect(admin).toHaveURL(new RegExp(`/requests/${request}$`));
  await search(admin, fingerprint.replace('SHA256:', ''));
  await expect(admin.getByRole('row').filter({ hasText: fingerprint })).toContainText('Current');

  // A full API key opens the application by its prefix, and its secret appears in no URL or page.
  const addresses: string[] = [];
  admin.on('request', (sent) => addresses.push(sent.url()));
  await search(admin, application.apiKey);
  await expect(admin.getByText('Only the prefix was used')).toBeVisible();
  await expect(admin.getByRole('heading', { level: 1 })).toHaveText(application.name);
  expect(addresses.some((address) => address.includes(application.apiKey.slice(0, 12)))).toBe(true);
  expect(addresses.filter((address) => address.includes(application.apiKey.slice(13)))).toEqual([]);
  expect(await admin.content()).not.toContain(application.apiKey.slice(13));
  await search(admin, 'nobody is called so');
  await expect(admin.getByText('Nothing found for “nobody is called so”')).toBeVisible();
});

test('a leaked signing key is stopped in every application, in two activations', async ({ page, otherPage: admin }) => {
  test.setTimeout(120_000);
  await signIn(page);
  const pair = externalKeyPair();
  const one = await createApplication(page, uniqueName('Leaked'), pair);
  const two = await createApplication(page, uniqueName('Leaked twin'), pair);
  const otherPair = externalKeyPair();
  const other = await createApplication(page, uniqueName('Safe'), otherPair);
  const traffics = [one, two].map((application) => new Traffic(application.apiKey, pair.privateFile));
  const safe = new Traffic(other.apiKey, otherPair.privateFile);
  for (const traffic of [...traffics, safe]) await traffic.expectNow('accepted');

  await signIn(admin, 'admin@nuvera.example');
  await search(admin, one.name);
  await admin.getByRole('link', { name: 'Stop this key everywhere' }).click();
  await expect(admin.getByText('This will stop 2 applications of 1 organization')).toBeVisible();
  await expect(admin.getByRole('link', { name: one.name })).toBeVisible();
  await expect(admin.getByRole('link', { name: two.name })).toBeVisible();
  await expect(admin.getByRole('link', { name: other.name, exact: true })).toHaveCount(0);
  // The destructive button is not focused, and nothing has been stopped yet.
  await expect(admin.getByRole('button', { name: 'Stop this key everywhere' })).not.toBeFocused();
  for (const traffic of traffics) await traffic.expectNow('accepted');
  // A reason is optional and can be given with one click.
  await admin.getByLabel('Suspected exposure').check();
  await admin.getByLabel('Reason, in your own words').fill('the private key was in a public repository');
  await admin.getByRole('button', { name: 'Stop this key everywhere' }).click();
  await expect(admin.getByText('2 applications are stopped.')).toBeVisible();
  for (const traffic of traffics) await traffic.expectNow('signing_key_blocked');
  await safe.expectNow('accepted');
  await Promise.all([...traffics, safe].map((traffic) => traffic.stop()));

  // The partner sees the reason. No application can be enabled before its signing key is replaced.
  await page.goto(two.path);
  await expect(page.getByText('“Suspected exposure: the private key was in a public repository”').first()).toBeVisible();
  await openAction(page, one, 'Enable');
  await expect(page.getByText('The signing key is blocked')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Enable application' })).toHaveCount(0);
  await page.getByRole('link', { name: 'Replace signing key' }).click();
  await expect(page.getByText('The current signing key is blocked')).toBeVisible();
});

test('an owner sees what a stop of everything would stop', async ({ page }) => {
  await signIn(page);
  const application = await createApplication(page, uniqueName('Everything'), externalKeyPair());
  await page.goto('/settings/platform/api-applications');
  await page.getByRole('link', { name: 'Disable all applications' }).click();
  await expect(page.getByText(/This will disable \d+ applications? of Alpine Pay/)).toBeVisible();
  expect(await page.content()).toContain(application.name);
  await expect(page.getByRole('button', { name: 'Disable all applications' })).toBeEnabled();
  await page.getByRole('link', { name: 'Cancel' }).click();
  await expect(page).toHaveURL(/\/settings\/platform\/api-applications$/);
});
