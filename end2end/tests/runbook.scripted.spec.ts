import type { Page } from '@playwright/test';
import {
  APPLICATIONS,
  type Client,
  expect,
  expectAccepted,
  expectRefused,
  generatePair,
  openAction,
  send,
  shownAs,
  signIn,
  storeShownKey,
  test,
  uniqueName,
} from './support';

const CLIENTS: Client[] = ['jose', 'openssl', 'pyjwt'];

function keyRow(page: Page, apiKey: string) {
  return page.locator('#api-keys tr', { hasText: shownAs(apiKey) });
}

test('the runbook, from sign-in to revocation', async ({ page }) => {
  test.setTimeout(240_000);
  const posts: string[] = [];
  page.on('request', (request) => {
    if (request.method() === 'POST') posts.push(request.postData() ?? '');
  });

  // Create an application. The key pair is generated in the browser, and only the public key is sent.
  await signIn(page);
  const name = uniqueName('Runbook');
  await page.getByRole('link', { name: 'Create API application' }).first().click();
  await page.getByLabel('Application name').fill(name);
  const firstPrivateKey = await generatePair(page, '2048');
  await page.locator('input[value="PAYMENTS_WRITE"]').check();
  await expect(page.locator('input[value="PAYMENTS_READ"]'), 'a write brings its read').toBeChecked();
  await page.locator('input[value="CUSTOMERS_READ"]').check();
  await page.getByRole('button', { name: 'Create API application' }).click();
  const firstKey = await storeShownKey(page);
  const application = { path: new URL(page.url()).pathname };
  expect(posts.join()).toContain('PUBLIC+KEY');
  expect(posts.join()).not.toContain('PRIVATE');

  // Send signed requests with three clients.
  for (const client of CLIENTS) {
    const body = await expectAccepted(send(client, firstKey, firstPrivateKey));
    expect(body).toMatchObject({ keyPrefix: firstKey.slice(0, 12), method: 'GET' });
    await expectAccepted(
      send(client, firstKey, firstPrivateKey, { method: 'POST', uri: '/api/v1/signature-test?a=%20b', body: '{"é":1}' }),
    );
  }
  await expectAccepted(send('jose', firstKey, firstPrivateKey, { uri: '/api/v1/customers?limit=20' }));
  await expectRefused(
    send('openssl', firstKey, firstPrivateKey, { method: 'POST', uri: '/api/v1/customers', body: '{}' }),
    'permission_missing',
    403,
  );
  await expectRefused(send('pyjwt', firstKey, firstPrivateKey, { uri: '/api/v1/unlisted' }), 'unknown_route', 404);

  // The console shows the usage: count and source.
  await expect(async () => {
    await page.goto(application.path);
    await expect(keyRow(page, firstKey)).toContainText(/[89] requests/, { timeout: 100 });
  }).toPass();
  await expect(keyRow(page, firstKey)).toContainText('127.0.0.1');

  // Create a replacement key: the old one works during its grace window.
  await openAction(page, application, 'Create replacement key');
  await page.getByLabel('24 hours').check();
  await page.getByRole('button', { name: 'Create replacement key' }).click();
  const secondKey = await storeShownKey(page);
  for (const client of CLIENTS) {
    await expectAccepted(send(client, secondKey, firstPrivateKey));
    await expectAccepted(send(client, firstKey, firstPrivateKey));
  }
  await expect(async () => {
    await page.goto(application.path);
    await expect(keyRow(page, secondKey)).toContainText('3 requests', { timeout: 100 });
  }).toPass();
  await expect(keyRow(page, firstKey)).toContainText('Stops');

  // Shorten the window: the old key is accepted until its deadline, and refused afterwards.
  await keyRow(page, firstKey).getByRole('link', { name: /Change deadline/ }).click();
  const deadline = Math.ceil(Date.now() / 1000) * 1000 + 8_000;
  await page.getByLabel('The key stops at (UTC)').fill(new Date(deadline).toISOString().slice(0, 19));
  await page.getByRole('button', { name: 'Change deadline' }).click();
  await expect(page.getByText("The key's deadline is moved.")).toBeVisible();
  let accepted = 0;
  for (;;) {
    const before = Date.now();
    const answer = await send('jose', firstKey, firstPrivateKey);
    const after = Date.now();
    if (answer.status === 200) {
      accepted += 1;
      expect(before, 'accepted before the deadline only').toBeLessThan(deadline);
      continue;
    }
    await expectRefused(answer, 'expired_api_key');
    expect(after, 'refused from the deadline on only').toBeGreaterThanOrEqual(deadline);
    break;
  }
  expect(accepted).toBeGreaterThan(0);
  await expectAccepted(send('openssl', secondKey, firstPrivateKey));

  // Suspected exposure: create a new key and revoke the previous one immediately.
  await openAction(page, application, 'Replace exposed key');
  await page.getByLabel(/Reason/).fill('seen in a build log');
  await page.getByRole('button', { name: /Replace/ }).click();
  const thirdKey = await storeShownKey(page);
  await expectRefused(send('jose', secondKey, firstPrivateKey), 'revoked_api_key');
  await expectAccepted(send('pyjwt', thirdKey, firstPrivateKey));

  // Replace the signing key without an overlap: the old one is refused.
  await openAction(page, application, 'Replace signing key');
  const secondPrivateKey = await generatePair(page, '3072');
  await page.locator('input[name="overlap"][value="none"]').check();
  await page.getByRole('button', { name: 'Replace signing key' }).click();
  await expect(page.getByText('The signing key is replaced.')).toBeVisible();
  await expectRefused(send('openssl', thirdKey, firstPrivateKey), 'invalid_signature');
  for (const client of CLIENTS) await expectAccepted(send(client, thirdKey, secondPrivateKey));

  // Emergency: valid requests are refused while disabled, and accepted once enabled again.
  await openAction(page, application, 'Disable');
  await page.getByLabel(/Reason/).fill('suspicious traffic');
  await page.getByRole('button', { name: 'Disable application' }).click();
  await expect(page.getByText('“suspicious traffic”').first()).toBeVisible();
  for (const client of CLIENTS) {
    await expectRefused(send(client, thirdKey, secondPrivateKey), 'application_disabled', 403);
  }
  await openAction(page, application, 'Enable');
  await page.getByLabel(/Reason/).fill('false alarm');
  await page.getByRole('button', { name: 'Enable application' }).click();
  await expect(page.getByText('The application is enabled.')).toBeVisible();
  await expectAccepted(send('jose', thirdKey, secondPrivateKey));

  // Revoke the last key, which requires typing the application's name.
  await page.goto(application.path);
  await keyRow(page, thirdKey).getByRole('link', { name: /Revoke/ }).click();
  await page.getByLabel('Type the application’s name to confirm').fill(name);
  await page.getByRole('button', { name: /Revoke/ }).click();
  await expect(page.getByText('The key is revoked.')).toBeVisible();
  await expectRefused(send('jose', thirdKey, secondPrivateKey), 'revoked_api_key');

  // Every step is in the audit history, newest first.
  await openAction(page, application, 'Audit history');
  const actions = await page.locator('tbody tr td:nth-child(3) p:first-child').allInnerTexts();
  expect(actions).toEqual([
    'API key revoked',
    'Application enabled',
    'Application disabled',
    'Signing key replaced',
    'API key confirmed as stored',
    'API key revoked',
    'API key created',
    'API key deadline moved',
    'API key confirmed as stored',
    'API key set to expire',
    'API key created',
    'API key confirmed as stored',
    'API key created',
    'Application created',
  ]);
  const text = await page.locator('main').innerText();
  for (const words of ['Olivia Okafor', '127.0.0.1', 'seen in a build log', 'suspicious traffic', 'false alarm']) {
    expect(text).toContain(words);
  }
  for (const key of [firstKey, secondKey, thirdKey]) expect(text).not.toContain(key);
  await page.goto(APPLICATIONS);
  await expect(page.getByRole('row', { name: new RegExp(name) })).toBeVisible();
});
