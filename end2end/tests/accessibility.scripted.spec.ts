import { check } from './accessible';
import { GATEWAY } from './addresses';
import {
  APPLICATIONS,
  createApplication,
  enterPassword,
  expect,
  expectAccepted,
  externalKeyPair,
  mailedLink,
  mailedResetLink,
  openAction,
  PASSWORD,
  present,
  send,
  signedToken,
  signIn,
  signInAsNewAdmin,
  test,
  uniqueName,
} from './support';

// Runs axe on every page, light and dark, wide and narrow.

test.use({ expectedErrors: /status of 4(03|04|10|22)/ });

test('pages without an application', async ({ page }) => {
  test.setTimeout(120_000);
  await page.goto('/sign-in');
  await check(page, 'sign-in');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await check(page, 'sign-in with errors');
  await page.getByLabel('Email').fill('admin@nuvera.example');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await check(page, 'the other area’s door');
  await signIn(page, 'admin@nuvera.example');
  await check(page, 'organization hub');
  await page.goto('/organizations?show=attention');
  await check(page, 'organization hub, who needs attention');
  await page.goto('/organizations?q=nobody');
  await check(page, 'search, nothing found');
  await page.goto(`/organizations?q=${'long'.repeat(51)}`);
  await check(page, 'search, with an error');
  await page.goto('/organizations/audit?action=api_key.revoked&actor=me');
  await check(page, 'history across organizations, with an error');
  await signIn(page, 'viewer@alpine.example');
  await page.goto(`${APPLICATIONS}/new`);
  await check(page, 'forbidden');
  await page.goto('/nowhere');
  await check(page, 'not found');
});

test('people', async ({ page, otherPage }) => {
  test.setTimeout(120_000);
  await signIn(page);
  await page.goto('/settings/platform/people/invite');
  await page.getByRole('button', { name: 'Invite', exact: true }).click();
  await check(page, 'invite somebody, with errors');
  const name = uniqueName('Ada');
  await page.getByLabel('Name').fill(name);
  const email = `${name.replace(' ', '.').toLowerCase()}@alpine.example`;
  await page.getByLabel('Email').fill(email);
  await page.getByRole('button', { name: 'Invite', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Invitation sent');
  await check(page, 'an invitation that was sent');
  await otherPage.goto(mailedLink(email));
  await check(otherPage, 'invitation');
  await otherPage.goto('/invitation?token=none');
  await check(otherPage, 'a link that is no longer good');
  await page.getByRole('link', { name: 'Back to people' }).click();
  await check(page, 'people and invitations');
  await page.getByRole('link', { name: 'Change role of Vera Vidal' }).click();
  await check(page, 'change role');
  await page.goBack();
  await page.getByRole('link', { name: 'Remove Vera Vidal' }).click();
  await check(page, 'remove somebody');
  await page.goBack();
  await page.getByRole('row').filter({ hasText: name }).getByRole('button', { name: /Withdraw/ }).click();
  await expect(page.getByText('The invitation is withdrawn')).toBeVisible();
});

test('what somebody signs in with', async ({ page, otherPage }) => {
  test.setTimeout(240_000);
  const { email, password } = await signInAsNewAdmin(page);
  await page.goto('/organizations/account');
  await check(page, 'sign-in and security, with a second factor');
  for (const action of ['second-factor', 'second-factor/remove', 'recovery-codes']) {
    await page.goto(`/organizations/account/${action}`);
    await check(page, action);
  }
  await page.getByRole('button', { name: 'Sign out' }).click();
  await enterPassword(page, email, password);
  await check(page, 'the second step');
  await page.getByRole('textbox', { name: 'Code' }).fill('000000');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await check(page, 'the second step, with an error');
  await signIn(page);
  await page.goto('/settings/account');
  await check(page, 'sign-in and security');
  await page.goto('/settings/account/password');
  await page.getByLabel('New password').fill('short');
  await page.getByRole('button', { name: 'Change password' }).click();
  await check(page, 'change password, with an error');
  await page.goto('/settings/platform/people');
  await page.getByRole('link', { name: 'Reset password of Vera Vidal' }).click();
  await check(page, 'reset somebody’s password');
  await page.getByRole('button', { name: 'Reset password' }).click();
  await expect(page.getByText('was mailed to viewer@alpine.example')).toBeVisible();
  await check(page, 'a reset link was sent');
  await otherPage.goto(mailedResetLink('viewer@alpine.example'));
  await check(otherPage, 'choose a password');
  await otherPage.goto('/reset-password?token=none');
  await check(otherPage, 'a link for a new password that is no longer good');
});

test('the form for a new application, and the page that shows its key', async ({ page }) => {
  test.setTimeout(240_000);
  await signIn(page);
  await page.goto(`${APPLICATIONS}/new`);
  await check(page, 'new application');
  await page.getByLabel('Paste a public key').check();
  await page.getByRole('button', { name: 'Create API application' }).click();
  await check(page, 'new application with errors');
  const pair = externalKeyPair();
  const application = await createApplication(page, uniqueName('Accessible'), pair, ['PAYMENTS_READ']);
  await expectAccepted(send('openssl', application.apiKey, pair.privateFile));
  await openAction(page, application, 'Create replacement key');
  await check(page, 'create replacement key');
  await page.getByLabel('Until an exact time').check();
  await page.getByLabel('Exact time (UTC)').fill(new Date(Date.now() + 90_000).toISOString().slice(0, 19));
  await page.getByRole('button', { name: 'Create replacement key' }).click();
  await expect(page.locator('#one-time-key')).toBeVisible();
  await check(page, 'one-time key');
  await page.getByRole('button', { name: 'I have stored this key' }).click();
  // The warning appears once half of the grace window has passed and the old key is still in use.
  await expect(async () => {
    await page.goto(application.path);
    await expect(page.getByText('A key stops while requests still use it')).toBeVisible({ timeout: 1_000 });
  }).toPass();
  await check(page, 'application in rotation, the old key in use');
  await page.goto(APPLICATIONS);
  await expect(page.getByText(/stops? while requests still use/)).toBeVisible();
  await check(page, 'applications');
});

test('the rotation policy, as a form and as it is read', async ({ page, otherPage: admin }) => {
  test.setTimeout(120_000);
  await signIn(page);
  await page.goto(`${APPLICATIONS}/rotation-policy`);
  await check(page, 'rotation policy');
  await page.getByLabel('Replace API keys after (days)').fill('7');
  await page.getByRole('button', { name: 'Change policy' }).click();
  await expect(page.getByLabel('Replace API keys after (days)')).toHaveValue('7');
  await check(page, 'rotation policy with errors');
  await page.goto(`${APPLICATIONS}/security-policy`);
  await check(page, 'security policy');
  await signIn(admin, 'admin@nuvera.example');
  await admin.getByRole('link', { name: 'Alpine Pay' }).click();
  await admin.getByRole('link', { name: 'Rotation policy' }).click();
  await expect(admin.getByText('180 days')).toBeVisible();
  await check(admin, 'rotation policy in the hub');
});

test('every action of an application', async ({ page }) => {
  test.setTimeout(240_000);
  await signIn(page);
  const application = await createApplication(page, uniqueName('Actions'), externalKeyPair(), ['PAYMENTS_READ']);
  await openAction(page, application, 'Replace signing key');
  await page.getByLabel('Paste a public key').check();
  await page.getByLabel('Public key (PEM)').fill(externalKeyPair().publicPem);
  await page.getByRole('button', { name: 'Replace signing key' }).click();
  await openAction(page, application, 'Create replacement key');
  await page.getByRole('button', { name: 'Create replacement key' }).click();
  await page.getByRole('button', { name: 'I have stored this key' }).click();
  await page.goto(application.path);
  const links = await page.locator('main a[href^="/settings"]').evaluateAll((anchors) => [
    ...new Set(anchors.map((anchor) => (anchor as HTMLAnchorElement).pathname)),
  ]);
  const actions = links.filter((link) => link.startsWith(`${application.path}/`));
  expect(actions.length).toBeGreaterThan(9);
  for (const action of actions) {
    await page.goto(action);
    await check(page, action.slice(application.path.length));
  }
  const key = externalKeyPair().privateFile;
  expect(await present(GATEWAY, application.apiKey, signedToken(application.apiKey, key))).toBe('invalid_signature');
  expect(await present(GATEWAY, application.apiKey, signedToken(application.apiKey, key), '/elsewhere')).toBe('uri_mismatch');
  await page.goto(`${application.path}/requests`);
  await check(page, 'recent requests');
  await page.locator('#live-requests').getByRole('link').first().click();
  await check(page, 'a refused request, compared');
  await page.goto(`${application.path}/requests?outcome=ok&id=nonsense`);
  await check(page, 'recent requests with an error');
  await page.goto(`${application.path}/disable`);
  await page.getByLabel(/Reason/).fill('for the test');
  await page.getByRole('button', { name: 'Disable application' }).click();
  await check(page, 'disabled application');
  await page.goto(`${application.path}/enable`);
  await check(page, 'enable');
});

test('an application in the organization hub, and what is prepared there', async ({ page, otherPage: admin }) => {
  test.setTimeout(240_000);
  await signIn(page);
  const application = await createApplication(page, uniqueName('Hub'), externalKeyPair(), ['PAYMENTS_READ']);
  await signIn(admin, 'admin@nuvera.example');
  await admin.getByRole('link', { name: 'Alpine Pay' }).click();
  await check(admin, 'organization');
  await admin.getByRole('link', { name: 'Disable all applications' }).click();
  await check(admin, 'stop everything');
  await admin.goBack();
  await admin.getByRole('link', { name: application.name, exact: true }).click();
  const inHub = { path: new URL(admin.url()).pathname };
  await openAction(admin, inHub, 'Stop this key everywhere');
  await check(admin, 'stop a key everywhere');
  await admin.goto('/organizations/signing-keys');
  await check(admin, 'blocked signing keys');
  await admin.goto(`/organizations?q=${application.name.slice(0, 8)}`);
  await check(admin, 'search');
  for (const action of ['Prepare replacement key', 'Replace signing key', 'Change permissions', 'Audit history']) {
    await openAction(admin, inHub, action);
    await check(admin, `${action}, in the hub`);
  }
  await openAction(admin, inHub, 'Prepare replacement key');
  await admin.getByRole('button', { name: 'Prepare replacement key' }).click();
  await check(admin, 'prepare without a reason');
  await admin.getByLabel('Reason').fill('for the test');
  await admin.getByLabel('Ticket reference').fill('SUP-4711');
  await admin.getByRole('button', { name: 'Prepare replacement key' }).click();
  await check(admin, 'application in the hub');
  await page.goto(application.path);
  await check(page, 'a key to claim');
  await openAction(admin, inHub, 'Change permissions');
  await admin.locator('input[value="CUSTOMERS_READ"]').check();
  await admin.getByLabel('Reason').fill('for the test');
  await admin.getByLabel('Ticket reference').fill('SUP-4711');
  await admin.getByRole('button', { name: 'Change permissions' }).click();
  await page.goto(application.path);
  await expect(page.getByText(`Nuvera changed ${application.name}`)).toBeVisible();
  await check(page, 'what Nuvera changed');
  await page.goto(APPLICATIONS);
  await check(page, 'a list with what Nuvera did');
  await openAction(page, application, 'Claim replacement key');
  await check(page, 'claim');
  await page.goto(`${application.path}/withdraw-replacement`);
  await check(page, 'decline');
  await page.context().clearCookies();
  await page.getByRole('button', { name: 'Withdraw replacement key' }).click();
  await check(page, 'sign-in with a form that waits');
});
