import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Application,
  type Client,
  createApplication,
  expect,
  expectAccepted,
  expectRefused,
  externalKeyPair,
  openAction,
  signIn,
  storeShownKey,
  uniqueName,
} from './support';
import { DAY, MINUTE, type MovedServer, test } from './moved-clock';
import type { Page } from '@playwright/test';

// Tests features that depend on time passing: 15 minutes, a day, half a year.

const CLIENTS: Client[] = ['jose', 'openssl', 'pyjwt'];

/** Creates an application and replaces its API key, with services that send with the old and the new key. */
async function rotation(page: Page, server: MovedServer, name: string, grace = '24 hours') {
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName(name), pair);
  const old = server.traffic(application.apiKey, pair.privateFile);
  await old.expectNow('accepted');
  await openAction(page, application, 'Create replacement key');
  await page.getByLabel(grace).check();
  await page.getByRole('button', { name: 'Create replacement key' }).click();
  const newKey = await storeShownKey(page);
  const all = async (apiKey: string, refused?: string) => {
    for (const client of CLIENTS) {
      const answer = await server.send(client, apiKey, pair.privateFile);
      await (refused ? expectRefused(answer, refused) : expectAccepted(answer));
    }
  };
  return { application, pair, old, newKey, all };
}

/** Reloads the application's page until it shows the text. */
async function says(page: Page, application: Application, part: string, words: RegExp) {
  await expect(async () => {
    await page.goto(application.path);
    await expect(page.locator(part)).toContainText(words, { timeout: 500 });
  }).toPass();
}

test('a quarter of an hour of silence makes it safe to revoke the old key', async ({ page, server }) => {
  const { application, pair, old, newKey, all } = await rotation(page, server, 'Silence');
  const deployed = server.traffic(newKey, pair.privateFile);
  await deployed.expectNow('accepted');
  await old.stop();
  await says(page, application, '#rotation', /Not yet: still in use\. Safe after 15 minutes/);
  await server.advance(13 * MINUTE, page);
  await deployed.expectNow('accepted');
  await says(page, application, '#rotation', /Not yet: last used 13 minutes ago\. Safe after 15 minutes/);
  await server.advance(2 * MINUTE, page);
  await deployed.expectNow('accepted');
  await says(page, application, '#rotation', /Safe to revoke: not used for 15 minutes/);
  await all(newKey);
  // Evidence alone does not revoke the key; a user does.
  await page.locator('#rotation').getByRole('link', { name: /Revoke nvk/ }).click();
  await page.getByRole('button', { name: 'Revoke API key' }).click();
  await expect(page.getByText('The key is revoked.')).toBeVisible();
  await all(application.apiKey, 'revoked_api_key');
  await deployed.expectNow('accepted');
  await deployed.stop();
});

test('a forgotten job that wakes up makes it unsafe again', async ({ page, server }) => {
  const { application, pair, old, newKey, all } = await rotation(page, server, 'Nightly');
  await all(newKey);
  await old.stop();
  await server.advance(20 * MINUTE, page);
  // Neither key is used, so there is no evidence of where the traffic has moved.
  await says(page, application, '#rotation', /No evidence: neither key has been used for \d+ minutes/);
  await all(newKey);
  await says(page, application, '#rotation', /Safe to revoke: not used for 20 minutes/);
  await expectAccepted(server.send('openssl', application.apiKey, pair.privateFile));
  // Traffic is recorded per minute, so a pause of 20 minutes may be counted as 21.
  await says(page, application, '#rotation', /Not yet: still in use\. Safe after (40|42) minutes/);
});

test('old keys are revoked automatically, once that has been safe for as long as was set', async ({ page, server }) => {
  const { application, pair, old, newKey, all } = await rotation(page, server, 'By itself');
  await page.goto(application.path);
  await page.locator('#rotation').getByRole('link', { name: 'Revoke automatically' }).click();
  await page.getByLabel('15 minutes').check();
  await page.getByRole('button', { name: 'Revoke automatically' }).click();
  await expect(page.locator('#rotation')).toContainText('revoked automatically once that has been safe for 15 minutes');
  const deployed = server.traffic(newKey, pair.privateFile);
  await deployed.expectNow('accepted');
  await old.stop();
  // The key is safe to revoke after 15 minutes, and revoked automatically 15 minutes later. The clock advances in small
  // steps, because the new key must stay in use: a longer step would count as a pause and restart the hold.
  for (let step = 0; step < 3; step += 1) {
    await server.advance(6 * MINUTE, page);
    await deployed.expectNow('accepted');
  }
  await says(page, application, '#rotation', /Safe to revoke: not used for 1[89] minutes/);
  for (let step = 0; step < 3; step += 1) {
    await server.advance(6 * MINUTE, page);
    await deployed.expectNow('accepted');
  }
  await expect(async () => {
    await page.goto(application.path);
    await expect(page.locator('#rotation')).toHaveCount(0, { timeout: 500 });
  }).toPass();
  await all(application.apiKey, 'revoked_api_key');
  await deployed.expectNow('accepted');
  await deployed.stop();
  await page.goto(`${application.path}/audit`);
  await expect(page.getByRole('row', { name: /API key revoked/ })).toContainText('Revoked automatically, as set on');
});

test('a deadline comes: a letter a day before, and the exact end', async ({ page, server }) => {
  const { application, pair, old, newKey, all } = await rotation(page, server, 'Deadline', '7 days');
  // E-mails about keys, without those about sign-ins.
  const letters = () => {
    const folder = join(server.instance.data, 'mail');
    const all = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8').replaceAll('=\r\n', ''));
    return all.filter((letter) => letter.includes(application.name));
  };
  await server.advance(6 * DAY - 10 * MINUTE, page);
  await old.expectNow('accepted');
  expect(letters()).toEqual([]);
  await server.advance(20 * MINUTE, page);
  await expect.poll(() => letters()).toHaveLength(1);
  expect(letters().join()).toContain('STOPS on');
  await server.advance(DAY - 11 * MINUTE, page);
  await old.expectNow('accepted');
  await server.advance(MINUTE, page);
  await old.expectNow('expired_api_key');
  await old.stop();
  await all(application.apiKey, 'expired_api_key');
  await all(newKey);
  await page.goto(application.path);
  await expect(page.locator('#rotation')).toHaveCount(0);

  // After a period without requests, the page and an e-mail state which keys may be removed and which are overdue.
  await server.advance(100 * DAY, page);
  await page.goto(application.path);
  await expect(page.locator('#api-keys')).toContainText('Safe to remove');
  await expect(page.locator('#api-keys')).toContainText('Not used for 100 days');
  await server.advance(100 * DAY, page);
  await expect.poll(() => letters().filter((letter) => letter.includes('was to be replaced by')).length).toBeGreaterThan(0);
  await page.goto(application.path);
  await expect(page.locator('#api-keys')).toContainText('Overdue');
  // The key is not revoked automatically.
  await expectAccepted(server.send('jose', newKey, pair.privateFile));
});
