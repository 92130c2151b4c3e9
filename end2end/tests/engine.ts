import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import puppeteer from 'puppeteer-core';
import { Builder, By, Capabilities } from 'selenium-webdriver';
import { expect } from '@playwright/test';
import { freePort } from './instance';

/** A browser that is not driven by Playwright, as the smoke tests use it. */
interface Driver {
  goto(url: string): Promise<void>;
  evaluate<T>(script: (...args: any[]) => T, ...args: any[]): Promise<T>;
  click(selector: string): Promise<void>;
  type(selector: string, text: string): Promise<void>;
  /** Errors in the browser's console so far. */
  readonly errors: string[];
  stop(): Promise<void>;
}

/** Errors that Firefox reports when the user leaves a page while its module is loading. They are expected. */
const LEFT_WHILE_LOADING = /AbortError: The operation was aborted|error loading dynamically imported module/;

/** Debian's Firefox ESR, driven by WebDriver BiDi. */
export async function firefox(): Promise<Driver> {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: process.env.NUVERA_FIREFOX ?? '/usr/bin/firefox-esr',
    headless: true,
  });
  const page = await browser.newPage();
  const errors: string[] = [];
  const report = (error: string) => LEFT_WHILE_LOADING.test(error) || errors.push(error);
  page.on('console', (message) => message.type() === 'error' && report(message.text()));
  page.on('pageerror', (error) => report(String(error)));
  page.on('dialog', (dialog) => void dialog.accept());
  return {
    errors,
    goto: async (url) => void (await page.goto(url)),
    evaluate: (script, ...args) => page.evaluate(script as any, ...args) as any,
    click: (selector) => page.click(selector),
    type: (selector, text) => page.type(selector, text),
    stop: () => browser.close(),
  };
}

/** Debian's WebKitGTK, driven by WebDriver, on a virtual display. */
export async function webkit(): Promise<Driver> {
  const screen = spawn('Xvfb', ['-displayfd', '1', '-screen', '0', '1280x1024x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [display] = await once(screen.stdout!, 'data');
  const port = await freePort();
  const driver: ChildProcess = spawn('WebKitWebDriver', [`--port=${port}`], {
    // Without GPU compositing. The sandbox's namespaces are not available to root.
    env: { ...process.env, DISPLAY: `:${String(display).trim()}`, WEBKIT_DISABLE_COMPOSITING_MODE: '1' },
    stdio: 'ignore',
  });
  await expect.poll(() => fetch(`http://127.0.0.1:${port}/status`).then((answer) => answer.ok, () => false)).toBe(true);
  const capabilities = new Capabilities({ browserName: 'MiniBrowser' });
  const browser = await new Builder().usingServer(`http://127.0.0.1:${port}`).withCapabilities(capabilities).build();
  return {
    // WebDriver does not expose the console.
    errors: [],
    goto: (url) => browser.get(url),
    evaluate: (script, ...args) => browser.executeScript(`return (${script})(...arguments)`, ...args),
    click: (selector) => browser.findElement(By.css(selector)).click(),
    type: (selector, text) => browser.findElement(By.css(selector)).sendKeys(text),
    stop: async () => {
      await browser.quit().catch(() => undefined);
      driver.kill();
      screen.kill();
    },
  };
}

/** Kind of an element, which is found by its text as a user would. */
type Kind = 'button' | 'link' | 'field';

/** A user of one of these browsers. */
export class User {
  constructor(readonly driver: Driver) {}

  async press(name: string) {
    await this.driver.click(await this.find('button', name));
  }

  async follow(name: string) {
    await this.driver.click(await this.find('link', name));
  }

  async choose(label: string) {
    await this.driver.click(await this.find('field', label));
  }

  async fill(label: string, text: string) {
    await this.driver.type(await this.find('field', label), text);
  }

  /** Sets a field to a long text at once, as pasting does. */
  async paste(label: string, text: string) {
    const put = (selector: string, text: string) => {
      const field = document.querySelector<HTMLTextAreaElement>(selector)!;
      field.value = text;
      field.dispatchEvent(new Event('input', { bubbles: true }));
    };
    await this.driver.evaluate(put, await this.find('field', label), text);
  }

  async sees(text: string) {
    const shown = () => document.body.innerText.replace(/\s+/g, ' ');
    await expect.poll(() => this.ask(shown), { timeout: 30_000 }).toContain(text);
  }

  async read(selector: string): Promise<string> {
    const text = (selector: string) => document.querySelector<HTMLElement>(selector)?.innerText ?? '';
    await expect.poll(() => this.ask(text, selector)).toMatch(/./);
    return this.driver.evaluate(text, selector);
  }

  /** Like `evaluate`, but returns undefined during navigation. */
  private ask<T>(script: (...args: any[]) => T, ...args: any[]): Promise<T | undefined> {
    return this.driver.evaluate(script, ...args).catch(() => undefined);
  }

  /** Waits for the visible, enabled element with this text, marks it and returns its selector. */
  private async find(kind: Kind, name: string): Promise<string> {
    const mark = (kind: Kind, name: string) => {
      const words = (element: HTMLElement) => element.innerText.replace(/\s+/g, ' ').trim();
      const tags = { button: 'button', link: 'a', field: 'label' } as const;
      const named = [...document.querySelectorAll<HTMLElement>(tags[kind])].filter(
        (element) => words(element).startsWith(name) && element.getClientRects().length > 0,
      );
      const found = named.map((element) => (element instanceof HTMLLabelElement ? element.control : element));
      const usable = found.find((element) => element && !element.matches(':disabled')) as HTMLElement | undefined;
      document.querySelectorAll('[data-found]').forEach((element) => element.removeAttribute('data-found'));
      usable?.setAttribute('data-found', '');
      return !!usable;
    };
    await expect.poll(() => this.ask(mark, kind, name), { message: `${kind} “${name}”`, timeout: 30_000 }).toBe(true);
    return '[data-found]';
  }
}
