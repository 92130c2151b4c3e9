import { readFileSync } from 'node:fs';
import {
  APPLICATIONS,
  createApplication,
  expect,
  expectAccepted,
  externalKeyPair,
  openAction,
  send,
  shownAs,
  signIn,
  storeShownKey,
  test,
  Traffic,
  uniqueName,
} from './support';

// Tests Nuvera's support actions, and what the partner sees of them.

test.use({ expectedErrors: /status of 422/ });

const RAW_KEY = /nvk_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}/;

test('an admin stops and helps a partner, whose requests go on meanwhile', async ({ page, otherPage: admin }) => {
  test.setTimeout(120_000);
  await signIn(page);
  const pair = externalKeyPair();
  const name = uniqueName('Supported');
  const application = await createApplication(page, name, pair, ['PAYMENTS_READ']);
  const traffic = new Traffic(application.apiKey, pair.privateFile);
  const customers = new Traffic(application.apiKey, pair.privateFile, { uri: '/api/v1/customers?limit=1' });
  await traffic.expectNow('accepted');
  await customers.expectNow('permission_missing');

  // Find the organization and its application.
  await signIn(admin, 'admin@nuvera.example');
  await admin.getByLabel('Search', { exact: true }).fill('alpine');
  await admin.getByRole('button', { name: 'Search' }).click();
  await expect(admin.getByRole('link', { name: 'Borealis Finance' })).toHaveCount(0);
  await admin.getByRole('link', { name: 'Alpine Pay' }).click();
  await admin.getByRole('link', { name, exact: true }).click();
  await expect(admin.getByText('You act for Nuvera in Alpine Pay')).toBeVisible();
  const inHub = { path: new URL(admin.url()).pathname };

  // Disable: opening the page does not stop anything; the button does, immediately.
  await openAction(admin, inHub, 'Disable');
  await traffic.expectNow('accepted');
  await admin.getByLabel('Reason').fill('payments to unknown beneficiaries');
  await admin.getByRole('button', { name: 'Disable application' }).click();
  await expect(admin.getByText('The application is disabled.')).toBeVisible();
  await traffic.expectNow('application_disabled');

  // The partner sees the change, its author and its reason.
  await page.goto(application.path);
  await expect(page.getByText('This application is disabled')).toHaveCount(2);
  await expect(page.getByText('By Ada Admin Nuvera')).toBeVisible();
  await expect(page.getByText('“payments to unknown beneficiaries”').first()).toBeVisible();

  // Change a permission.
  await openAction(admin, inHub, 'Change permissions');
  await admin.locator('input[value="CUSTOMERS_READ"]').check();
  await admin.getByLabel('Reason').fill('asked for by telephone');
  await admin.getByLabel('Ticket reference').fill('SUP-4711');
  await admin.getByRole('button', { name: 'Change permissions' }).click();
  await expect(admin.getByText('The permissions are changed.')).toBeVisible();

  // Prepare a replacement key. The partner claims it, and the admin never sees it.
  await openAction(admin, inHub, 'Prepare replacement key');
  await admin.getByText('1 hour', { exact: true }).click();
  await admin.getByLabel('Reason').fill('the key was mailed to us');
  await admin.getByLabel('Ticket reference').fill('SUP-4711');
  await admin.getByRole('button', { name: 'Prepare replacement key' }).click();
  await expect(admin.getByText('A replacement key is waiting to be claimed')).toBeVisible();
  expect(await admin.content()).not.toMatch(RAW_KEY);
  await page.goto(APPLICATIONS);
  await expect(page.getByRole('row', { name: new RegExp(name) })).toContainText('Key to claim');
  await page.goto(application.path);
  await expect(page.getByText('“the key was mailed to us”').first()).toBeVisible();
  await page.getByRole('link', { name: 'Claim replacement key' }).click();
  await page.getByRole('button', { name: 'Claim replacement key' }).click();
  const claimed = await storeShownKey(page);
  await admin.goto(inHub.path);
  expect(await admin.content()).not.toMatch(RAW_KEY);
  await expect(admin.locator('#api-keys')).toContainText(shownAs(claimed));

  // Enable the application again: both keys work, with the new permission.
  await openAction(admin, inHub, 'Enable');
  await admin.getByLabel('Reason').fill('a false alarm');
  await admin.getByLabel('Ticket reference').fill('SUP-4711');
  await admin.getByRole('button', { name: 'Enable application' }).click();
  await expect(admin.getByText('The application is enabled.')).toBeVisible();
  await traffic.expectNow('accepted');
  await customers.expectNow('accepted');
  await expectAccepted(send('jose', claimed, pair.privateFile));

  // Revoke the old key.
  const old = admin.locator('#api-keys tr', { hasText: shownAs(application.apiKey) });
  await old.getByRole('link', { name: /Revoke/ }).click();
  await admin.getByLabel('Reason').fill('it was mailed to us');
  await admin.getByLabel('Ticket reference').fill('SUP-4711');
  await admin.getByRole('button', { name: 'Revoke API key' }).click();
  await expect(admin.getByText('The key is revoked.')).toBeVisible();
  await traffic.expectNow('revoked_api_key');
  await Promise.all([traffic.stop(), customers.stop()]);

  // The partner's audit history lists every change as made by Nuvera.
  await page.goto(`${application.path}/audit?kind=nuvera`);
  const actions = await page.locator('tbody tr td:nth-child(3) p:first-child').allInnerTexts();
  expect(actions).toEqual([
    'API key revoked',
    'Application enabled',
    'Replacement key prepared',
    'Permissions changed',
    'Application disabled',
  ]);
});

test('the history across organizations is filtered and downloaded', async ({ page, otherPage: admin }) => {
  await signIn(page);
  const application = await createApplication(page, uniqueName('Audited'), externalKeyPair());
  await signIn(admin, 'admin@nuvera.example');
  await admin.getByRole('link', { name: 'Audit history' }).click();
  await expect(admin.getByRole('link', { name: application.name, exact: true }).first()).toBeVisible();
  await admin.getByLabel('What').selectOption('Application created');
  await admin.getByLabel('Who', { exact: true }).selectOption('Olivia Okafor');
  await admin.getByRole('button', { name: 'Show' }).click();
  await expect(admin).toHaveURL(/action=application.created/);
  const row = admin.getByRole('row').filter({ hasText: application.name });
  await expect(row).toHaveCount(1);
  await expect(row).toContainText('Alpine Pay');
  for (const [link, separator] of [
    ['Download CSV', ','],
    ['Download JSON Lines', '"application.created"'],
  ]) {
    const downloading = admin.waitForEvent('download');
    await admin.getByRole('link', { name: link }).click();
    const text = readFileSync(await (await downloading).path(), 'utf8');
    expect(text.split('\n').filter((line) => line.includes(application.name))).toHaveLength(1);
    expect(text).toContain(separator);
    expect(text).not.toContain('api_key.created');
  }
  await admin.getByRole('link', { name: application.name, exact: true }).first().click();
  await expect(admin.getByText('You act for Nuvera in Alpine Pay')).toBeVisible();
});
