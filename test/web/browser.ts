/** Chromium with a profile of its own, watched: console errors and requests to anywhere but the hub are kept for the test. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Page } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';
const SCREENSHOTS = process.env['MKSCOPE_SCREENSHOTS'];

/** Why there is no browser here; undefined = there is one. */
export const NO_BROWSER = existsSync(CHROMIUM) ? undefined : `${CHROMIUM} is not installed (apt-get install chromium)`;

export interface Browser {
  readonly page: Page;
  /** Console errors, uncaught exceptions and foreign requests since the start, in words. */
  readonly complaints: string[];
  /** Saves what is in sight as `<name>.png`, in MKSCOPE_SCREENSHOTS or in the profile, which is deleted. */
  keep(name: string): Promise<void>;
  close(): Promise<void>;
}

export async function openBrowser(origin: string): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'mkscope-chromium-'));
  const folder = SCREENSHOTS ?? profile;
  mkdirSync(folder, { recursive: true });
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    viewport: { width: 1280, height: 800 },
    colorScheme: 'dark',
  });
  const page = context.pages()[0] ?? (await context.newPage());
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(`${origin}/`) && !url.startsWith('data:')) complaints.push(`request to ${url}`);
  });
  return {
    page,
    complaints,
    keep: async (name) => {
      await page.screenshot({ path: join(folder, `${name}.png`) });
    },
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
