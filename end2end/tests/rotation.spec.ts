import type { Page } from '@playwright/test';
import {
  choosePasting,
  createApplication,
  expect,
  externalKeyPair,
  openAction,
  present,
  send,
  shownAs,
  signedToken,
  signIn,
  storeShownKey,
  test,
  Traffic,
  uniqueName,
} from './support';
import { GATEWAY } from './addresses';

test.use({ expectedErrors: /status of 422/ });

// Tests a rotation under continuous traffic from real clients, as shown on the page.

/** Waits until the page shows the text: it updates by itself with scripts, and is reloaded without. */
async function says(page: Page, javaScriptEnabled: boolean | undefined, part: string, words: RegExp) {
  await expect(async () => {
    if (javaScriptEnabled === false) await page.reload();
    await expect(page.locator(part)).toContainText(words, { timeout: javaScriptEnabled === false ? 100 : 15_000 });
  }).toPass();
}

test('traffic moves from the old key to the new one, before your eyes', async ({ page, otherPage, javaScriptEnabled }) => {
  test.setTimeout(120_000);
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Cut-over'), pair);
  const old = new Traffic(application.apiKey, pair.privateFile);
  await old.expectNow('accepted');

  // Replace the key with an exact deadline.
  await openAction(page, application, 'Create replacement key');
  await page.getByLabel('Until an exact time').check();
  await page.getByLabel('Exact time (UTC)').fill('2020-01-01T00:00:00');
  await page.getByRole('button', { name: 'Create replacement key' }).click();
  await expect(page.getByText('Choose a time after now').first()).toBeVisible();
  await expect(page.getByLabel('Until an exact time')).toBeChecked();
  const deadline = new Date(Date.now() + 3_600_000).toISOString().slice(0, 19);
  await page.getByLabel('Exact time (UTC)').fill(deadline);
  await page.getByRole('button', { name: 'Create replacement key' }).click();
  const newKey = await storeShownKey(page);
  await page.goto(application.path);
  const seen = (words: RegExp) => says(page, javaScriptEnabled, '#rotation', words);
  await seen(/Not yet: nothing has used the new key/);
  await seen(/All of the .+ requests in the last 15 minutes came with the old one/);
  await expect(page.locator('#rotation')).toContainText(deadline.slice(11));

  // A colleague opens the page, sees the same state, and can continue.
  await signIn(otherPage, 'developer@alpine.example');
  await otherPage.goto(application.path);
  await expect(otherPage.locator('#rotation')).toContainText(shownAs(newKey));

  // Deploy the new key in parallel: both work, and the page shows both.
  const fresh = new Traffic(newKey, pair.privateFile);
  await seen(/\d+ % of the .+ requests in the last 15 minutes came with the new key/);
  await seen(/Not yet: still in use\. Safe after 15 minutes/);
  await says(otherPage, javaScriptEnabled, '#rotation', /\d+ % of the .+ came with the new key/);
  await old.stop();
  await fresh.expectNow('accepted');

  // Revoke the old key early. The new key's traffic is not affected.
  await page.locator('#rotation').getByRole('link', { name: /Revoke nvk/ }).click();
  await page.getByRole('button', { name: 'Revoke API key' }).click();
  await expect(page.getByText('The key is revoked.')).toBeVisible();
  await expect(page.locator('#rotation')).toHaveCount(0);
  await fresh.expectNow('accepted');
  await fresh.stop();
  expect(await present(GATEWAY, application.apiKey, signedToken(application.apiKey, pair.privateFile))).toBe(
    'revoked_api_key',
  );
});

test('the old key is kept: the rollback from the path', async ({ page }) => {
  await signIn(page);
  const application = await createApplication(page, uniqueName('Kept'), externalKeyPair());
  await openAction(page, application, 'Create replacement key');
  await page.getByRole('button', { name: 'Create replacement key' }).click();
  await storeShownKey(page);
  await page.goto(application.path);
  await page.locator('#rotation').getByRole('link', { name: /Keep it/ }).click();
  await page.getByRole('button', { name: 'Keep this key' }).click();
  await expect(page.getByText('The key is active again and has no deadline.')).toBeVisible();
  await expect(page.locator('#rotation')).toHaveCount(0);
});

test('old keys are set to be revoked automatically, and a colleague cancels that', async ({ page, otherPage }) => {
  await signIn(page);
  const application = await createApplication(page, uniqueName('By itself'), externalKeyPair());
  await openAction(page, application, 'Create replacement key');
  await page.getByRole('button', { name: 'Create replacement key' }).click();
  await storeShownKey(page);
  await page.goto(application.path);
  await page.locator('#rotation').getByRole('link', { name: 'Revoke automatically' }).click();
  await page.getByLabel('6 hours').check();
  await page.getByRole('button', { name: 'Revoke automatically' }).click();
  await expect(page.locator('#rotation')).toContainText(
    'revoked automatically once that has been safe for 6 hours. Set by Olivia Okafor',
  );
  await signIn(otherPage, 'developer@alpine.example');
  await otherPage.goto(application.path);
  await otherPage.getByRole('button', { name: 'Cancel automatic revocation' }).click();
  await expect(otherPage.getByText('Automatic revocation cancelled')).toBeVisible();
  await otherPage.goto(`${application.path}/audit`);
  await expect(otherPage.getByRole('row', { name: /Automatic finish cancelled/ })).toContainText('Deniz Demir');
});

test('a signing key is replaced on evidence, and a wrong one is found and rolled back', async ({ page, javaScriptEnabled }) => {
  test.setTimeout(120_000);
  await signIn(page);
  const [first, second] = [externalKeyPair(), externalKeyPair()];
  const application = await createApplication(page, uniqueName('Evidence'), first);
  const service = new Traffic(application.apiKey, first.privateFile);
  await openAction(page, application, 'Replace signing key');
  await choosePasting(page);
  await page.getByLabel('Public key (PEM)').fill(second.publicPem);
  await page.locator('input[name="overlap"][value="86400"]').check();
  await page.getByRole('button', { name: 'Replace signing key' }).click();
  await expect(page.getByText('The signing key is replaced.')).toBeVisible();
  const rotation = '#signing-key-rotation';
  await says(page, javaScriptEnabled, rotation, /Not yet: nothing has used the new key/);
  const deployed = new Traffic(application.apiKey, second.privateFile);
  await says(page, javaScriptEnabled, rotation, /\d+ % of the .+ came with the new key/);
  await service.expectNow('accepted');

  // Retire the key too early: a service that still signs with it is refused, and the page names the key.
  await page.locator(rotation).getByRole('link', { name: /^Retire/ }).click();
  await page.getByRole('button', { name: /Retire/ }).click();
  await service.expectNow('invalid_signature');
  await page.goto(application.path);
  await says(page, javaScriptEnabled, '#live-now', /Requests are refused that are signed with an earlier key/);
  await page.locator('#live-now').getByRole('link', { name: 'Restore signing key' }).click();
  await page.getByRole('button', { name: 'Restore signing key' }).click();
  await service.expectNow('accepted');
  await Promise.all([service.stop(), deployed.stop()]);
});

test('why a request was refused is found, live and by its id', async ({ page, javaScriptEnabled }) => {
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Inspector'), pair);
  await page.goto(`${application.path}/requests`);
  await expect(page.getByText('No request yet')).toBeVisible();
  const uri = '/api/v1/customers?limit=20&cursor=abc';
  const token = signedToken(application.apiKey, pair.privateFile, '/api/v1/customers?cursor=abc&limit=20');
  expect(await present(GATEWAY, application.apiKey, token, uri)).toBe('uri_mismatch');
  await says(page, javaScriptEnabled, '#live-requests', /uri_mismatch/);
  await page.locator('#live-requests').getByRole('link').first().click();
  await expect(page.getByText('Refused: uri_mismatch')).toBeVisible();
  await expect(page.locator('#comparison mark')).toHaveText(['limit=20&cursor=abc', 'cursor=abc&limit=20']);

  const missing = await send('jose', application.apiKey, pair.privateFile, { uri: '/api/v1/customers?limit=20' });
  expect(missing.body).toMatchObject({ code: 'permission_missing' });
  await page.goto(`${application.path}/requests`);
  await page.getByLabel('Request id').fill(missing.body.requestId);
  await page.getByRole('button', { name: 'Show' }).click();
  await expect(page.getByText('This needs the permission CUSTOMERS_READ')).toBeVisible();
  await page.getByRole('link', { name: 'Change permissions' }).click();
  await page.locator('input[value="CUSTOMERS_READ"]').check();
  await page.getByRole('button', { name: /permissions/ }).click();
  await expect(page.getByText('The permissions are changed.')).toBeVisible();

  await page.goto(`${application.path}/requests`);
  await page.getByLabel('Outcome').selectOption('Refused, for any reason');
  await page.getByRole('button', { name: 'Show' }).click();
  await expect(page.locator('#live-requests tbody tr')).toHaveCount(2);
  await expect(page.locator('main')).not.toContainText(application.apiKey);
});
