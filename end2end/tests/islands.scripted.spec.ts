import {
  APPLICATIONS,
  clipboard,
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
  uniqueName,
} from './support';

// Tests that every island is hydrated. The linker drops islands that are not referenced, which only a browser reveals.

test('the key generator leaves nothing of the private key behind, and is cancelled at once', async ({ page }) => {
  await signIn(page);
  await page.goto(`${APPLICATIONS}/new`);
  await page.getByLabel('Application name').fill(uniqueName('Generator'));
  await page.getByLabel('Size').selectOption('4096');
  await page.getByRole('button', { name: 'Generate key pair' }).click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(page.getByText('Cancelled.')).toBeVisible();

  await page.getByLabel('Size').selectOption('2048');
  await page.getByRole('button', { name: 'Generate key pair' }).click();
  await expect(page.getByText('The key pair is ready.')).toBeVisible({ timeout: 45_000 });
  // The form cannot be submitted until the private key is stored.
  await page.getByRole('button', { name: 'Create API application' }).click();
  await expect(page.getByText('Store the private key, then confirm it here.')).toBeVisible();
  await page.getByRole('button', { name: 'Copy private key' }).click();
  await expect(page.getByText('Private key copied.')).toBeVisible();
  const copied = await clipboard(page);
  expect(copied).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
  const secret = copied.split('\n')[5];
  const kept = await page.evaluate(() => ({
    html: document.documentElement.outerHTML,
    fields: [...document.querySelectorAll('input, textarea')].map((field) => (field as HTMLInputElement).value).join(),
    storage: JSON.stringify({ ...localStorage, ...sessionStorage }) + document.cookie + location.href,
  }));
  for (const [place, text] of Object.entries(kept)) expect(text, place).not.toContain(secret);
  await page.getByLabel('I have stored the private key').check();
  await page.getByRole('button', { name: 'Create API application' }).click();
  await storeShownKey(page);
  // The island signed the server's challenge.
  await expect(page.getByText(/^Possession proven 2/)).toBeVisible();
});

test('leaving with a private key that is not stored warns', async ({ page }) => {
  await signIn(page);
  await page.goto(`${APPLICATIONS}/new`);
  await page.getByLabel('Size').selectOption('2048');
  await page.getByRole('button', { name: 'Generate key pair' }).click();
  await expect(page.getByText('The key pair is ready.')).toBeVisible({ timeout: 45_000 });
  const dialog = page.waitForEvent('dialog');
  const leaving = page.goto(APPLICATIONS).catch(() => undefined);
  const warning = await dialog;
  expect(warning.type()).toBe('beforeunload');
  await warning.accept();
  await leaving;
});

test('a pasted key is judged before it is sent, and a private key is thrown away', async ({ page }) => {
  await signIn(page);
  await page.goto(`${APPLICATIONS}/new`);
  await page.getByLabel('Paste a public key').check();
  const field = page.getByLabel('Public key (PEM)');
  await field.fill(externalKeyPair().publicPem);
  await field.blur();
  await expect(page.getByText(/2048 bits.*SHA256:|SHA256:.*2048/s).first()).toBeVisible();
  await field.fill('-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----');
  await field.blur();
  await expect(page.getByText(/This is a private key/).first()).toBeVisible();
  await expect(field).toHaveValue('');
});

test('what does not parse as a public key is not sent', async ({ page }) => {
  await signIn(page);
  await page.goto(`${APPLICATIONS}/new`);
  await page.getByLabel('Application name').fill(uniqueName('Not sent'));
  await page.getByLabel('Paste a public key').check();
  const field = page.getByLabel('Public key (PEM)');
  const pasted = 'something that is no key at all';
  await field.fill(pasted);
  // The island has been hydrated once it validates the text.
  await expect(page.getByText(/Paste the public key in PEM form/).first()).toBeVisible();
  const sent: string[] = [];
  page.on('request', (request) => request.method() === 'POST' && sent.push(request.url()));
  await page.getByRole('button', { name: 'Create API application' }).click();
  await expect(page.getByText(/Paste the public key in PEM form/).first()).toBeVisible();
  await expect(field).toBeFocused();
  await expect(field).toHaveValue(pasted);
  expect(sent).toEqual([]);
  // Positive control: a public key is sent.
  await field.fill(externalKeyPair().publicPem);
  await page.getByRole('button', { name: 'Create API application' }).click();
  await expect.poll(() => sent.length).toBe(1);
});

test('a write permission brings its read, and goes with it', async ({ page }) => {
  await signIn(page);
  await page.goto(`${APPLICATIONS}/new`);
  const [read, write] = ['SUPPORT_READ', 'SUPPORT_WRITE'].map((code) => page.locator(`input[value="${code}"]`));
  await write.check();
  await expect(read).toBeChecked();
  await read.uncheck();
  await expect(write).not.toBeChecked();
});

test('the one-time key is copied, downloaded and guarded', async ({ page }) => {
  await signIn(page);
  const application = await createApplication(page, uniqueName('Guarded'), externalKeyPair());
  await openAction(page, application, 'Create replacement key');
  await page.getByRole('button', { name: 'Create replacement key' }).click();
  const key = await page.locator('#one-time-key').innerText();
  await page.getByRole('button', { name: 'Copy key' }).click();
  await expect.poll(() => clipboard(page)).toBe(key);
  const downloading = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download key' }).click();
  expect((await downloading).suggestedFilename()).toBe(`${key.slice(0, 12)}.txt`);
  const dialog = page.waitForEvent('dialog');
  const leaving = page.goto(application.path).catch(() => undefined);
  await (await dialog).accept();
  await leaving;
  await page.goto(application.path);
  await expect(page.getByText(`${shownAs(key)} is not confirmed as stored`)).toBeVisible();
});

test('Back and Reload after a one-time key lead to the application', async ({ page }) => {
  await signIn(page);
  const application = await createApplication(page, uniqueName('History'), externalKeyPair());
  await openAction(page, application, 'Create replacement key');
  await page.getByRole('button', { name: 'Create replacement key' }).click();
  const key = await page.locator('#one-time-key').innerText();
  await expect(page).toHaveURL(application.path);

  // Leaving the page still triggers a warning.
  page.once('dialog', (dialog) => dialog.accept());
  await page.reload();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(application.name);
  await expect(page.getByText(`${shownAs(key)} is not confirmed as stored`)).toBeVisible();
  await expect(page.locator('main')).not.toContainText(key);

  await page.getByRole('button', { name: /I never saw it: replace it/ }).click();
  const replacement = await storeShownKey(page);
  await page.goto(`${application.path}/audit`);
  await page.goBack();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(application.name);
  await page.goBack();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(application.name);
  await expect(page.locator('main')).not.toContainText(replacement);
});

test('instants are told relative to now, and absolutely on focus', async ({ page }) => {
  await signIn(page);
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Relative'), pair);
  await expectAccepted(send('jose', application.apiKey, pair.privateFile));
  await page.goto(application.path);
  const lastUsed = page.locator('#api-keys time.relative');
  await expect(lastUsed).toContainText(/just now|\d+ seconds? ago/);
  const absolute = lastUsed.getByText(/^\d+ \w{3} \d{4}, [\d:]{8} UTC$/);
  await expect(absolute).toHaveCSS('clip-path', 'inset(50%)');
  await lastUsed.focus();
  await expect(absolute).toHaveCSS('clip-path', 'none');
});
