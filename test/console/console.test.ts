/**
 * The console in a real Chromium against real replicas: what it shows, that it is live, that it can be used by
 * keyboard and on a phone, and that nothing that a record says runs. SCREENSHOTS=directory keeps pictures.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HttpCluster } from '../journal/http-cluster.ts';
import { openBrowser } from './browser.ts';

const CHECKS = readFileSync(new URL('page-checks.js', import.meta.url), 'utf8');
const DESK = { viewport: { width: 1280, height: 900 } };
const PHONE = { viewport: { width: 375, height: 700 }, hasTouch: true, isMobile: true };
const HOSTILE = '<img src=x onerror="document.title=\'ran\'"><script>document.title="ran"</script>';
const SHOWN = { timeout: 60_000 };

const cluster = new HttpCluster();
let browser: Browser;
/** What no page may ever do. */
const complaints: string[] = [];

beforeAll(async () => {
  const [opened] = await Promise.all([openBrowser(), cluster.start()]);
  browser = opened;
  for (let i = 0; i < 120; i += 1) await append('orders', `order ${i}`);
  await append('hostile <b>', HOSTILE);
}, 400_000);

afterAll(async () => {
  await browser.close();
  await cluster.stop();
});

async function append(stream: string, body: string): Promise<void> {
  const url = `${cluster.baseOf(0)}/v1/streams/${encodeURIComponent(stream)}/records`;
  const headers = { 'content-type': 'text/plain' };
  const answer = await fetch(url, { method: 'POST', headers, body });
  expect(answer.status).toBe(200);
}

async function open(path: string, how: BrowserContextOptions = DESK, replica = 0): Promise<Page> {
  const context = await browser.newContext(how);
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on('pageerror', (error) => complaints.push(`threw ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`said ${message.text()}`);
  });
  page.on('request', (request) => {
    const isOwn = request.url().startsWith(cluster.baseOf(replica));
    if (!isOwn) complaints.push(`asked ${request.url()}`);
  });
  await page.goto(`${cluster.baseOf(replica)}/console/${path}`);
  return page;
}

async function close(page: Page): Promise<void> {
  await page.context().close();
  expect(complaints.splice(0)).toEqual([]);
}

async function look(page: Page, name: string): Promise<void> {
  const directory = process.env['SCREENSHOTS'];
  if (directory !== undefined) {
    await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true });
  }
  for (const check of ['contrast', 'names', 'width']) {
    const wrong = await page.evaluate<string[]>(`(${CHECKS.replace(/;\s*$/, '')}).${check}()`);
    expect(wrong, `${check} of ${name}`).toEqual([]);
  }
}

const text = async (page: Page, selector: string): Promise<string> =>
  (await page.locator(selector).allInnerTexts()).join('\n');

/** The figure that a region's panel shows under a name. */
function figure(page: Page, region: string, name: string): Promise<string> {
  const panel = page.locator('.region').filter({ hasText: region });
  return panel.locator('dl div').filter({ hasText: name }).locator('dd').innerText();
}

it('shows all three regions from any of them, and goes on by itself', async () => {
  for (const replica of [0, 1, 2]) {
    const page = await open('', DESK, replica);
    await page.getByText('All three regions answer and hear each other').waitFor();
    expect(await page.locator('.region h3').allInnerTexts()).toEqual(
      ['r0', 'r1', 'r2'].map((name, i) => (i === replica ? `${name} this replica` : name)),
    );
    expect(await text(page, '[aria-labelledby=lanes-title] tbody')).toMatch(/r2\s+✓ its home/);
    expect(await page.locator('[aria-labelledby=links-title] td .good').count()).toBe(6);
    await close(page);
  }
  const page = await open('');
  await page.locator('.region').first().waitFor();
  const before = await figure(page, 'r1', 'released entries');
  await append('orders', 'one more');
  await expect.poll(() => figure(page, 'r1', 'released entries'), SHOWN).not.toBe(before);
  expect(await figure(page, 'r0', 'append p50 / p99')).toMatch(/\d (µs|ms|s) \/ \d/);
  await close(page);
});

it('browses a stream by pages and follows its tail', async () => {
  const page = await open('#/streams');
  await page.getByRole('link', { name: 'orders' }).click();
  const numbers = page.locator('table.records td.number');
  const shown = async (): Promise<[string | undefined, string | undefined]> => {
    const all = await numbers.allInnerTexts();
    return [all[0], all.at(-1)];
  };
  await expect.poll(shown, SHOWN).toEqual(['71', '120']);
  await page.getByRole('button', { name: 'Older' }).click();
  await expect.poll(shown, SHOWN).toEqual(['21', '70']);
  await page.getByRole('button', { name: 'First' }).click();
  await expect.poll(shown, SHOWN).toEqual(['0', '49']);
  expect(await page.getByRole('button', { name: 'Older' }).isDisabled()).toBe(true);
  await page.getByLabel('from number').fill('100');
  await page.getByRole('button', { name: 'Go' }).click();
  await expect.poll(async () => (await shown())[0], SHOWN).toBe('71');
  await page.getByRole('button', { name: 'Follow the tail' }).click();
  await expect.poll(async () => (await shown())[0], SHOWN).toBe('120');
  await append('orders', 'while somebody looks');
  await expect
    .poll(() => text(page, 'table.records tr:first-child td.body'), SHOWN)
    .toBe('while somebody looks');
  await page.getByRole('button', { name: 'Stop following' }).click();
  await expect.poll(shown, SHOWN).toEqual(['72', '121']);
  await expect.poll(async () => (await cluster.status(0)).readers, SHOWN).toBe(0n);
  await close(page);
});

it('shows what records and names say as text, and runs none of it', async () => {
  const page = await open('#/streams');
  await page.getByRole('link', { name: 'hostile <b>' }).click();
  await expect.poll(() => text(page, 'table.records td.body'), SHOWN).toBe(HOSTILE);
  expect(await page.title()).not.toBe('ran');
  expect(await page.locator('main img').count()).toBe(0);
  await close(page);
});

it('can be used by keyboard alone', async () => {
  const page = await open('');
  await page.locator('.region').first().waitFor();
  const focused = (): Promise<string> => page.evaluate('document.activeElement.textContent.trim()');
  await page.keyboard.press('Tab');
  expect(await focused()).toBe('Skip to the content');
  for (const name of ['Overview', 'Streams']) {
    await page.keyboard.press('Tab');
    expect(await focused()).toBe(name);
  }
  expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe(
    'solid',
  );
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'orders' }).waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.type('host');
  await page.keyboard.press('Enter');
  await expect.poll(() => page.locator('tbody tr').count(), SHOWN).toBe(1);
  await close(page);
});

it.each([
  { name: 'desk-light', how: { ...DESK, colorScheme: 'light' as const } },
  { name: 'phone-dark', how: { ...PHONE, colorScheme: 'dark' as const } },
])('is legible, named and as wide as the screen on every page: $name', async ({ name, how }) => {
  const page = await open('', how);
  await page.locator('.region').first().waitFor();
  await look(page, `${name}-overview`);
  const base = page.url();
  const pages = [
    ['streams', '#/streams', 'tbody tr'],
    ['records', '#/streams/orders', 'tbody tr'],
    ['events', '#/events', 'tbody tr'],
  ] as const;
  for (const [title, path, there] of pages) {
    await page.goto(`${base.replace(/#.*$/, '')}${path}`);
    await page.locator(there).first().waitFor();
    await look(page, `${name}-${title}`);
  }
  const other = name.endsWith('light') ? 'dark' : 'light';
  await page.getByLabel('Theme').selectOption(other);
  await look(page, `${name}-turned-${other}`);
  await close(page);
});

it('says which region is away, what that means, and that it is back', async () => {
  const page = await open('');
  await page.getByText('All three regions answer').waitFor();
  await cluster.kill(2);
  await page.getByText('Region r2 does not answer.').waitFor();
  await page.getByText(/The lane of region r2 is sealed by region r[01]/).waitFor();
  await page.getByText('the lane is sealed').first().waitFor();
  expect(await page.locator('.edge.none text').allTextContents()).toEqual(['cut', 'cut']);
  await look(page, 'desk-region-away');
  await cluster.startReplica(2);
  await page.getByText('All three regions answer').waitFor();
  await close(page);
});

it('says that it hears nothing any more, and goes on when its replica is back', async () => {
  const page = await open('', DESK, 1);
  await page.getByText('All three regions answer').waitFor();
  await cluster.kill(1);
  await page.getByText(/✕ no answer since/).waitFor();
  await look(page, 'desk-no-answer');
  await cluster.startReplica(1);
  await page.getByText('● live').waitFor();
  await page.getByText('All three regions answer').waitFor();
  // The browser itself has said that nothing listened.
  const said = complaints.splice(0).filter((text) => !text.includes('ERR_CONNECTION_REFUSED'));
  expect(said.filter((text) => !text.includes('Failed to load resource'))).toEqual([]);
  await page.context().close();
});
