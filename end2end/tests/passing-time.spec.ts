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

// What takes a quarter of an hour, a day or half a year, as the people and the services meet it to whom it happens.

const CLIENTS: Client[] = ['jose', 'openssl', 'pyjwt'];

/** An application whose API key has a replacement: what still sends with the old key, and what deploys the new one. */
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

/** Waits until the application's page says so, asking again and again. */
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
  // The evidence did not end it: a person does.
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
  // Neither key is used: nothing shows where the traffic has gone.
  await says(page, application, '#rotation', /No evidence: neither key has been used for \d+ minutes/);
  await all(newKey);
  await says(page, application, '#rotation', /Safe to revoke: not used for 20 minutes/);
  await expectAccepted(server.send('openssl', application.apiKey, pair.privateFile));
  // Traffic is kept by the minute: from one's beginning to another's it was silent for 20 of them, or 21.
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
  // After a quarter of an hour it is safe; a second one must pass before the key is revoked. The new key is in use all the
  // time: a longer jump of the clock would be a pause, and begin the second one again.
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
  // Those about keys: there are others, about where somebody signed in.
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

  // Nobody sends anything for a season: the page and a letter say what may be removed, and what is overdue.
  await server.advance(100 * DAY, page);
  await page.goto(application.path);
  await expect(page.locator('#api-keys')).toContainText('Safe to remove');
  await expect(page.locator('#api-keys')).toContainText('Not used for 100 days');
  await server.advance(100 * DAY, page);
  await expect.poll(() => letters().filter((letter) => letter.includes('was to be replaced by')).length).toBeGreaterThan(0);
  await page.goto(application.path);
  await expect(page.locator('#api-keys')).toContainText('Overdue');
  // It does not stop by itself.
  await expectAccepted(server.send('jose', newKey, pair.privateFile));
});
