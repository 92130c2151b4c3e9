import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { APPLICATIONS, createApplication, expect, externalKeyPair, signIn, test, uniqueName } from './support';

test('without scripts the page lists the fingerprints, and its commands find them', async ({ page }) => {
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Plain doctor'), pair);
  await page.goto(application.path);
  await page.getByRole('link', { name: 'Check a key' }).click();
  await expect(page).toHaveURL(`${APPLICATIONS}/check-key`);
  await expect(page.getByText('Checking a key here needs JavaScript and WebAssembly')).toBeVisible();
  await expect(page.getByLabel('Or paste it')).toBeHidden();

  const folder = mkdtempSync(join(tmpdir(), 'nuvera-key-'));
  writeFileSync(join(folder, 'private.pem'), execFileSync('cat', [pair.privateFile]));
  writeFileSync(join(folder, 'public.pem'), pair.publicPem);
  const commands = (await page.locator('#openssl-commands').innerText()).split('\n');
  const run = (shell: string) => (command: string) => execFileSync(shell, ['-c', command], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }).toString().trim();
  const fingerprints = commands.filter((line) => line.includes('dgst')).map(run('bash'));
  expect(fingerprints).toHaveLength(2);
  expect(commands.map(run('zsh'))).toEqual(fingerprints);
  const row = page.getByRole('row').filter({ hasText: application.name });
  for (const fingerprint of fingerprints) await expect(row).toContainText(`SHA256:${fingerprint}`);
  await expect(row).toContainText('Current');
});
