import type { Page } from '@playwright/test';
import { execFileSync } from 'node:child_process';
import { dirname } from 'node:path';
import {
  APPLICATIONS,
  choosePasting,
  createApplication,
  expect,
  expectAccepted,
  expectRefused,
  externalKeyPair,
  openAction,
  PASSWORD,
  send,
  shownAs,
  signIn,
  storeShownKey,
  test,
  uniqueName,
} from './support';

// Tests a partner's flows with a pasted key, with and without scripts.

async function row(page: Page, apiKey: string) {
  return page.locator('#api-keys tr', { hasText: shownAs(apiKey) });
}

test('an API key is replaced, its deadline is lifted, and the new one is revoked: the rollback', async ({ page }) => {
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Rollback'), pair);
  await expectAccepted(send('jose', application.apiKey, pair.privateFile));

  await openAction(page, application, 'Create replacement key');
  await page.getByLabel('1 hour').check();
  await page.getByRole('button', { name: 'Create replacement key' }).click();
  const second = await storeShownKey(page);
  await expect(page.getByRole('heading', { name: 'Rotation under way' })).toBeVisible();

  await (await row(page, application.apiKey)).getByRole('link', { name: /Change deadline/ }).click();
  await page.getByRole('button', { name: 'Keep this key' }).click();
  await expect(page.getByText('The key is active again and has no deadline.')).toBeVisible();
  await (await row(page, second)).getByRole('link', { name: /Revoke/ }).click();
  await page.getByRole('button', { name: 'Revoke API key' }).click();
  await expect(page.getByText('The key is revoked.')).toBeVisible();
  await expectRefused(send('jose', second, pair.privateFile), 'revoked_api_key');
  await expectAccepted(send('jose', application.apiKey, pair.privateFile));
});

test('a wrong signing key is rolled back in one step', async ({ page }) => {
  await signIn(page);
  const [right, wrong] = [externalKeyPair(), externalKeyPair()];
  const application = await createApplication(page, uniqueName('Signing'), right);

  await openAction(page, application, 'Replace signing key');
  await choosePasting(page);
  await page.getByLabel('Public key (PEM)').fill(wrong.publicPem);
  await page.locator('input[name="overlap"][value="none"]').check();
  await page.getByRole('button', { name: 'Replace signing key' }).click();
  await expect(page.getByText('The signing key is replaced.')).toBeVisible();
  await expectRefused(send('jose', application.apiKey, right.privateFile), 'invalid_signature');

  await page.getByText('History (1 retired)').click();
  await page.getByRole('link', { name: /Restore/ }).first().click();
  await page.getByRole('button', { name: 'Restore signing key' }).click();
  await expect(page.getByText('The earlier signing key is current again.')).toBeVisible();
  await expectAccepted(send('jose', application.apiKey, right.privateFile));
  await expectRefused(send('jose', application.apiKey, wrong.privateFile), 'invalid_signature');
});

test('with an overlap both signing keys verify, until the old one is retired', async ({ page }) => {
  await signIn(page);
  const [old, next] = [externalKeyPair(), externalKeyPair()];
  const application = await createApplication(page, uniqueName('Overlap'), old);
  await openAction(page, application, 'Replace signing key');
  await choosePasting(page);
  await page.getByLabel('Public key (PEM)').fill(next.publicPem);
  await page.getByRole('button', { name: 'Replace signing key' }).click();
  for (const { privateFile } of [old, next]) await expectAccepted(send('jose', application.apiKey, privateFile));
  await page.getByRole('link', { name: /Retire/ }).first().click();
  await page.getByRole('button', { name: 'Retire signing key' }).click();
  await expect(page.getByText('The signing key is retired.')).toBeVisible();
  await expectRefused(send('jose', application.apiKey, old.privateFile), 'invalid_signature');
  await expectAccepted(send('jose', application.apiKey, next.privateFile));
});

test('a permission is granted and taken away, and the gateway obeys at once', async ({ page }) => {
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Permissions'), pair);
  const customers = { uri: '/api/v1/customers' };
  await expectRefused(send('jose', application.apiKey, pair.privateFile, customers), 'permission_missing', 403);
  await openAction(page, application, 'Change permissions');
  await page.locator('input[value="CUSTOMERS_READ"]').check();
  await page.getByRole('button', { name: 'Change permissions' }).click();
  await expect(page.getByText('The permissions are changed.')).toBeVisible();
  await expectAccepted(send('jose', application.apiKey, pair.privateFile, customers));
  await openAction(page, application, 'Change permissions');
  await page.locator('input[value="CUSTOMERS_READ"]').uncheck();
  await page.getByRole('button', { name: 'Change permissions' }).click();
  await expect(page.getByText('The permissions are changed.')).toBeVisible();
  await expectRefused(send('jose', application.apiKey, pair.privateFile, customers), 'permission_missing', 403);
});

test('a stop takes two activations, from the list as well, and no reason', async ({ page }) => {
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Two activations'), pair);
  await page.goto(APPLICATIONS);
  await page.getByRole('link', { name: `Disable ${application.name}` }).click();
  await expect(page.getByText(`Disabling refuses every request from ${application.name}`)).toBeVisible();
  await page.getByRole('button', { name: 'Disable application' }).click();
  await expect(page.getByText('The application is disabled.', { exact: false }).first()).toBeVisible();
  await expect(page.getByText('“Emergency stop, no reason given”').first()).toBeVisible();
  await expectRefused(send('jose', application.apiKey, pair.privateFile), 'application_disabled', 403);
});

test('a message of what was done is shown once, and not from its address', async ({ page }) => {
  await signIn(page);
  const application = await createApplication(page, uniqueName('Message'), externalKeyPair());
  const message = page.getByText('The application is disabled. The gateway refuses its requests.');
  await openAction(page, application, 'Disable');
  await page.getByLabel('Wrong deployment').check();
  await page.getByRole('button', { name: 'Disable application' }).click();
  await expect(message).toBeVisible();
  await expect(page.getByText('“Wrong deployment”').first()).toBeVisible();
  await expect(page).toHaveURL(application.path);
  await page.reload();
  await expect(page.getByText('This application is disabled').first()).toBeVisible();
  await expect(message).toHaveCount(0);
  await page.goto(`${application.path}?done=enabled`);
  await expect(page.getByText('The application is enabled.', { exact: false })).toHaveCount(0);
});

test('a stop takes two activations and a reason, and is undone', async ({ page }) => {
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Stop'), pair);
  await page.goto(application.path);
  await page.getByRole('link', { name: 'Disable', exact: true }).click();
  await page.getByLabel(/Reason/).fill('a laptop was stolen');
  await page.getByRole('button', { name: 'Disable application' }).click();
  await expect(page.getByText('“a laptop was stolen”').first()).toBeVisible();
  await expectRefused(send('jose', application.apiKey, pair.privateFile), 'application_disabled', 403);
  await page.getByRole('link', { name: 'Enable application' }).first().click();
  await page.getByLabel(/Reason/).fill('the laptop was found');
  await page.getByRole('button', { name: 'Enable application' }).click();
  await expectAccepted(send('jose', application.apiKey, pair.privateFile));
});

test('a renamed application is found under its new name, by a colleague as well', async ({ page }) => {
  await signIn(page);
  const application = await createApplication(page, uniqueName('Before'), externalKeyPair());
  const after = uniqueName('<b>After</b> & co');
  await openAction(page, application, 'Rename');
  await page.getByLabel('Application name').fill(after);
  await page.getByRole('button', { name: 'Rename application' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(after);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByText('You are signed out.')).toBeVisible();
  await signIn(page, 'developer@alpine.example');
  await page.getByRole('link', { name: after, exact: true }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(after);
});

test.describe('mistakes', () => {
  test.use({ expectedErrors: /status of 422/ });

  test('come back all at once, with what was typed', async ({ page, javaScriptEnabled }) => {
    await signIn(page);
    await page.goto(`${APPLICATIONS}/new`);
    await page.getByLabel('Application name').fill('x'.repeat(81));
    await choosePasting(page);
    await page.getByLabel('Public key (PEM)').fill('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----');
    if (javaScriptEnabled !== false) {
      // With scripts, input that is not a public key is not even sent.
      await expect(page.getByText('This is a certificate.').first()).toBeVisible();
      await page.getByLabel('Public key (PEM)').fill('');
    }
    await page.getByRole('button', { name: 'Create API application' }).click();
    const summary = page.locator('.error-summary');
    await expect(summary).toContainText('Use at most 80 characters');
    await expect(page.getByLabel('Application name')).toHaveValue('x'.repeat(81));
    await expect(summary).toContainText(javaScriptEnabled === false ? 'This is a certificate.' : 'public key');
  });
});

test.describe('a form', () => {
  test.use({ expectedErrors: /status of 4(03|09)/ });

  test('that is sent after the session ended is found again as it was', async ({ page }) => {
    await signIn(page);
    await page.goto(`${APPLICATIONS}/new`);
    const name = uniqueName('Kept & <safe>');
    await page.getByLabel('Application name').fill(name);
    await choosePasting(page);
    await page.getByLabel('Public key (PEM)').fill(externalKeyPair().publicPem);
    await page.locator('input[value="PAYMENTS_READ"]').check();
    await page.context().clearCookies();
    await page.getByRole('button', { name: 'Create API application' }).click();
    await expect(page.getByText('You were signed out before this was sent')).toBeVisible();
    await page.getByLabel('Email').fill('owner@alpine.example');
    await page.getByLabel('Password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page.getByText('Here it is as you left it')).toBeVisible();
    await expect(page.getByLabel('Application name')).toHaveValue(name);
    await expect(page.locator('input[value="PAYMENTS_READ"]')).toBeChecked();
    await page.getByRole('button', { name: 'Create API application' }).click();
    await storeShownKey(page);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText(name);
  });

  test('that is out of date says what happened meanwhile, and shows how things are', async ({ page, otherPage }) => {
    await signIn(page);
    const application = await createApplication(page, uniqueName('Two tabs'), externalKeyPair());
    await openAction(page, application, 'Create replacement key');
    const tab = await page.context().newPage();
    await openAction(tab, application, 'Create replacement key');
    await tab.getByRole('button', { name: 'Create replacement key' }).click();
    const second = await storeShownKey(tab);
    await page.getByRole('button', { name: 'Create replacement key' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('You already created this key');
    await expect(page.getByText('It is confirmed as stored. Nothing is left to do.')).toBeVisible();
    await expect(page.getByText(shownAs(second)).first()).toBeVisible();

    // A colleague revokes a key while its page is open.
    await page.goto(application.path);
    await (await row(page, second)).getByRole('link', { name: /Revoke/ }).click();
    await signIn(otherPage, 'developer@alpine.example');
    await otherPage.goto(application.path);
    await (await row(otherPage, second)).getByRole('link', { name: /Revoke/ }).click();
    await otherPage.getByRole('button', { name: 'Revoke API key' }).click();
    await expect(otherPage.getByText('The key is revoked.')).toBeVisible();
    await page.getByRole('button', { name: 'Revoke API key' }).click();
    await expect(page.getByText(/API key revoked .* by Deniz Demir/).first()).toBeVisible();
    await expect(page.getByText('This key no longer works')).toBeVisible();
  });
});

test.describe('a pasted key', () => {
  test.use({ expectedErrors: /status of 422/ });

  test('is not yet proven until the first request; a signature proves it at once', async ({ page }) => {
    await signIn(page);
    const [first, second] = [externalKeyPair(), externalKeyPair()];
    const application = await createApplication(page, uniqueName('Possession'), first);
    const signingKey = page.locator('#signing-keys');
    await expect(signingKey.getByText('Not yet proven')).toBeVisible();
    await expectAccepted(send('openssl', application.apiKey, first.privateFile));
    await expect(async () => {
      await page.goto(application.path);
      await expect(signingKey.getByText('Possession proven by a request')).toBeVisible({ timeout: 1_000 });
    }).toPass();

    await page.getByRole('link', { name: 'Replace signing key' }).click();
    await choosePasting(page);
    await page.getByLabel('Public key (PEM)').fill(second.publicPem);
    await page.getByText('Prove that you hold the private key').click();
    const command = await page.locator('#proof-command').innerText();
    const sign = (privateFile: string) =>
      execFileSync('bash', ['-c', command], { cwd: dirname(privateFile), encoding: 'utf8' });
    await page.getByLabel('Signature (base64)').fill(sign(first.privateFile));
    await page.getByRole('button', { name: 'Replace signing key' }).click();
    await expect(page.locator('#proof-error')).toContainText('was not made by the private half of this public key');
    await expect(page.getByLabel('Public key (PEM)')).toHaveValue(second.publicPem);
    await page.getByLabel('Signature (base64)').fill(sign(second.privateFile));
    await page.getByRole('button', { name: 'Replace signing key' }).click();
    await expect(signingKey.getByText(/^Possession proven 2/)).toBeVisible();
  });
});
