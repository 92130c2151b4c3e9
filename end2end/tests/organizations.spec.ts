import type { Page } from '@playwright/test';
import { randomUUID } from 'node:crypto';
import { check } from './accessible';
import { expect, mailedLink, signIn, test } from './support';

test.use({ expectedErrors: /status of 422/ });

test('an admin creates a partner, its first owner joins, and the partner is suspended and reinstated', async ({ page, otherPage, javaScriptEnabled }) => {
  test.setTimeout(120_000);
  // axe needs scripts.
  const checked = (page: Page, what: string) => (javaScriptEnabled === false ? undefined : check(page, what));
  const [name, email] = [`Cedar ${randomUUID()}`, `cleo.${randomUUID()}@cedar.example`];
  await signIn(page, 'admin@nuvera.example');
  await page.getByRole('link', { name: 'Create partner organization' }).click();
  await page.getByRole('textbox', { name: /^Name/ }).fill('Alpine Pay');
  await page.getByRole('textbox', { name: 'Support note' }).fill('Calls on Mondays.\nInvoices go to finance.');
  await page.getByRole('textbox', { name: /^Owner’s name/ }).fill('Cleo Cole');
  await page.getByRole('textbox', { name: /^Owner’s e-mail/ }).fill(email);
  await page.getByRole('button', { name: 'Create organization' }).click();
  await expect(page.getByRole('link', { name: 'Another partner organization has this name.' })).toBeVisible();
  await expect(page.getByRole('textbox', { name: 'Support note' })).toHaveValue(/Calls on Mondays\.\s+Invoices/);
  await checked(page, 'create an organization, with an error');
  await page.getByRole('textbox', { name: /^Name/ }).fill(name);
  await page.getByRole('button', { name: 'Create organization' }).click();
  await expect(page.getByText('The first owner is invited.')).toBeVisible();
  await expect(page.getByText(`Cleo Cole (${email}), invited by Ada Admin`)).toBeVisible();
  await checked(page, 'manage an organization');

  await otherPage.goto(mailedLink(email));
  await otherPage.getByLabel('Password').fill('tulip gravel 84 harbour');
  await otherPage.getByRole('button', { name: 'Join' }).click();
  await expect(otherPage.getByText('No API application yet')).toBeVisible();

  await page.reload();
  await expect(page.getByRole('heading', { name: 'First owner' })).toHaveCount(0);
  await page.getByRole('link', { name: 'Suspend organization' }).click();
  await checked(page, 'suspend an organization');
  await page.getByLabel('Reason').fill('Unpaid since March');
  await page.getByLabel('Ticket reference').fill('SUP-4711');
  await page.getByRole('button', { name: 'Suspend organization' }).click();
  await expect(page.getByText('The organization is suspended. The gateway refuses its requests.')).toBeVisible();
  await otherPage.reload();
  await expect(otherPage.getByText('Nuvera suspended your organization')).toBeVisible();
  await checked(otherPage, 'a suspended organization');
  await otherPage.getByRole('link', { name: 'See who suspended it, when and why' }).click();
  await expect(otherPage.getByText('Unpaid since March')).toBeVisible();

  await page.getByRole('link', { name: 'Reinstate organization' }).click();
  await page.getByLabel('Reason').fill('Paid');
  await page.getByLabel('Ticket reference').fill('SUP-4711');
  await page.getByRole('button', { name: 'Reinstate organization' }).click();
  await expect(page.getByText('The organization is reinstated.')).toBeVisible();
  await otherPage.reload();
  await expect(otherPage.getByText('Nuvera suspended your organization')).toHaveCount(0);
});
