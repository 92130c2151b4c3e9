import { enterPassword, expect, signInAsNewAdmin, test, totp } from './support';

// Tests the second factor, from enrolment to the loss of the phone.

test.use({ expectedErrors: /status of 422/ });

test('an admin signs in with a code once, and without the phone by a recovery code', async ({ page }) => {
  const { email, password, secret, recoveryCodes } = await signInAsNewAdmin(page);
  expect(recoveryCodes).toHaveLength(10);
  await page.getByRole('button', { name: 'Sign out' }).click();

  // The enrolment code cannot be used again.
  await enterPassword(page, email, password);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Enter a code');
  await page.goto('/organizations');
  await expect(page, 'the password alone leads nowhere').toHaveURL(/sign-in/);
  await page.goto('/organizations/sign-in/second-factor');
  await page.getByRole('textbox', { name: 'Code' }).fill('000000');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByText('This code is not right').first()).toBeVisible();
  // The next code is already accepted, to allow for clock skew.
  await page.getByRole('textbox', { name: 'Code' }).fill(totp(secret, Date.now() + 30_000));
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page).toHaveURL(/organizations$/);
  await page.getByRole('button', { name: 'Sign out' }).click();

  await enterPassword(page, email, password);
  await page.getByRole('textbox', { name: 'Code' }).fill(recoveryCodes[3]);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page).toHaveURL(/organizations$/);
  await page.getByRole('link', { name: /sign-in and security/ }).click();
  await expect(page.locator('#second-factor')).toContainText('Recovery codes left');
  await expect(page.locator('#second-factor')).toContainText('9');
  await expect(page.getByRole('link', { name: /Remove/ }), 'it is required').toHaveCount(0);
  await page.getByRole('link', { name: 'Make new recovery codes' }).click();
  await page.getByRole('button', { name: 'Make new recovery codes' }).click();
  const made = (await page.locator('#recovery-codes').innerText()).trim().split('\n');
  expect(made).toHaveLength(10);
  expect(made).not.toContain(recoveryCodes[0]);
  await page.getByRole('button', { name: 'I have stored these codes' }).click();
  await expect(page).toHaveURL(/account$/);
});
