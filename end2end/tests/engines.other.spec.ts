import { test } from '@playwright/test';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CONSOLE } from './addresses';
import { firefox, User, webkit } from './engine';
import { APPLICATIONS, expect, expectAccepted, expectRefused, PASSWORD, send, uniqueName } from './support';

// Runs the runbook in engines that the other tests do not cover. Browsers differ in WASM in workers, blobs, forms and
// the clipboard.

for (const [name, start] of [
  ['Firefox', firefox],
  ['WebKit', webkit],
] as const) {
  test(`the runbook in ${name}`, async () => {
    test.setTimeout(180_000);
    const driver = await start();
    const user = new User(driver);
    try {
      await driver.goto(`${CONSOLE}/sign-in`);
      await user.fill('Email', 'owner@alpine.example');
      await user.fill('Password', PASSWORD);
      await user.press('Sign in');
      await user.sees('Sign out');

      // Create an application with a key pair generated in the browser.
      await driver.goto(`${CONSOLE}${APPLICATIONS}/new`);
      await user.fill('Application name', uniqueName(name));
      await user.press('Generate key pair');
      await user.sees('The key pair is ready.');
      await driver.evaluate(() => {
        // Capture the file that the browser would save.
        const create = URL.createObjectURL.bind(URL);
        URL.createObjectURL = (blob: Blob) => {
          void blob.text().then((text) => Object.assign(window, { saved: text }));
          return create(blob);
        };
      });
      await user.press('Download private key');
      const saved = () => driver.evaluate(() => (window as any).saved ?? '');
      await expect.poll(saved).toContain('PRIVATE KEY');
      const privateKey = join(mkdtempSync(join(tmpdir(), 'nuvera-key-')), 'private.pem');
      writeFileSync(privateKey, await saved(), { mode: 0o600 });
      await user.choose('I have stored the private key');
      await user.press('Create API application');
      const firstKey = await user.read('#one-time-key');
      expect(firstKey).toMatch(/^nvk_/);
      await user.press('I have stored this key');
      await user.sees('The API key is confirmed as stored.');
      const application = new URL(await driver.evaluate(() => location.href)).pathname;
      await expectAccepted(send('jose', firstKey, privateKey));

      // Rotate: the old key is revoked after the new one is in use.
      await driver.goto(`${CONSOLE}${application}/replace-api-key`);
      await user.choose('24 hours');
      await user.press('Create replacement key');
      const secondKey = await user.read('#one-time-key');
      expect(secondKey).not.toBe(firstKey);
      await user.press('I have stored this key');
      await user.sees('The API key is confirmed as stored.');
      await expectAccepted(send('jose', secondKey, privateKey));
      await driver.goto(`${CONSOLE}${application}`);
      await user.follow('Revoke');
      await user.press('Revoke API key');
      await user.sees('The key is revoked.');
      await expectRefused(send('jose', firstKey, privateKey), 'revoked_api_key', 401);

      // The key inspector, which runs entirely in the browser.
      await driver.goto(`${CONSOLE}${APPLICATIONS}/check-key`);
      await user.paste('Or paste it', execFileSync('openssl', ['rsa', '-in', privateKey, '-pubout'], { encoding: 'utf8', stdio: 'pipe' }));
      await user.press('Check key');
      await user.sees('SHA256:');

      // Leaving a page while its module is loading must not cause an error, and the next page must work.
      await driver.evaluate((address: string) => void (location.href = address), `${CONSOLE}${APPLICATIONS}/new`);
      await driver.goto(`${CONSOLE}${APPLICATIONS}/check-key`);
      await user.press('Copy');
      await user.sees('Copied');
      expect(driver.errors, 'errors in the browser’s console').toEqual([]);
    } finally {
      await driver.stop();
    }
  });
}
