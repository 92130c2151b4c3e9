import { APPLICATIONS, expect, signIn, test } from './support';

// Tests the session list, with two browsers.

test('one browser sees the other one, ends it, and it is out', async ({ page, otherPage }) => {
  const email = 'viewer@alpine.example';
  await signIn(page, email);
  await signIn(otherPage, email);
  await page.goto(APPLICATIONS);
  await expect(page.getByText('A new browser signed in as you')).toBeVisible();
  await page.getByRole('link', { name: 'See where you are signed in' }).click();
  await expect(page.getByText('This is the one you look with')).toBeVisible();
  await page.getByRole('button', { name: 'End all others' }).click();
  await expect(page.getByText('All other sessions are ended')).toBeVisible();
  await otherPage.goto(APPLICATIONS);
  await expect(otherPage).toHaveURL(/sign-in/);
  await page.goto(APPLICATIONS);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('API applications');
  await expect(page.getByText('A new browser signed in as you')).toHaveCount(0);
});
