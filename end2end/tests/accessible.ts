import axe from 'axe-core';
import type { Page } from '@playwright/test';
import { expect } from './support';

/** Rules that depend on colours. All others give the same results in both colour schemes. */
const COLOUR_RULES = ['color-contrast', 'link-in-text-block'];

const VARIANTS = [
  { colorScheme: 'light', width: 1280, options: {} },
  { colorScheme: 'dark', width: 1280, options: { runOnly: COLOUR_RULES } },
  { colorScheme: 'light', width: 320, options: {} },
  { colorScheme: 'dark', width: 320, options: { runOnly: COLOUR_RULES } },
] as const;

/** Runs axe on a page, light and dark, wide and narrow, and checks that nothing scrolls horizontally. */
export async function check(page: Page, what: string) {
  // The pages have no frames, so axe runs directly: AxeBuilder would inject it again and open a second page for every
  // run.
  await page.evaluate(axe.source);
  for (const { colorScheme, width, options } of VARIANTS) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width, height: 900 });
    const { found, overflow } = await page.evaluate(async (options) => {
      const { violations } = await (window as unknown as { axe: typeof axe }).axe.run(document, {
        ...options,
        resultTypes: ['violations'],
      } as axe.RunOptions);
      return {
        found: violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target).join(', ')}`),
        overflow: document.documentElement.scrollWidth - window.innerWidth,
      };
    }, options);
    expect(found, `${what}, ${colorScheme}, ${width} px`).toEqual([]);
    expect(overflow, `${what} scrolls sideways at ${width} px`).toBeLessThanOrEqual(0);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}
