import { APPLICATIONS, createApplication, expect, expectAccepted, externalKeyPair, send, signIn, test, uniqueName } from './support';

// Lockdown Mode and hardened browsers run scripts without WebAssembly. The page's own script fails to start there.
test.use({ expectedErrors: /WebAssembly/ });

test('without WebAssembly the pages are those of a browser without scripts', async ({ page }) => {
  await page.addInitScript(() => delete (window as any).WebAssembly);
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Locked down'), pair);
  await expectAccepted(send('jose', application.apiKey, pair.privateFile));

  await page.goto(`${APPLICATIONS}/new`);
  await expect(page.getByLabel('Public key (PEM)')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Generate key pair' })).toBeHidden();
  await page.goto(`${APPLICATIONS}/check-key`);
  await expect(page.getByText('Checking a key here needs JavaScript and WebAssembly')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Check key' })).toBeHidden();
});
