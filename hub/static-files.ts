/** The built page: files of `web/dist`, read once at start (a script, a style sheet, an index), with nothing from elsewhere. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join, sep } from 'node:path';
import { createHash } from 'node:crypto';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.map': 'application/json',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
};
const MAX_FILES = 200;

/** Only our own files; kernel text that slips through as markup could load or run nothing. */
const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
};

const MISSING_PAGE = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>mkscope</title>
<h1>mkscope is running, its page is not built</h1>
<p>Build it with <code>npm run build</code> (in a clone, <code>npm start</code> does it) and reload.
The API works meanwhile: <a href="/api/health">/api/health</a>, <a href="/api/kernels">/api/kernels</a>.</p>
</html>
`;

interface StaticFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type: string;
  readonly etag: string;
}

export class StaticFiles {
  readonly #folder: string;
  #files = new Map<string, StaticFile>();
  #readAtMs = -1;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The file under a URL path; any path without an extension is the page itself (its router takes it from there). */
  answer(path: string, ifNoneMatch: string | undefined): Response | undefined {
    this.#refresh();
    const isPage = extname(path) === '';
    const file = this.#files.get(isPage ? '/index.html' : path);
    if (file === undefined) {
      if (!isPage) return undefined;
      return new Response(MISSING_PAGE, { status: 503, headers: { ...SECURITY_HEADERS, 'content-type': TYPES['.html'] as string } });
    }
    const isIndex = file.type === TYPES['.html'];
    const headers = {
      ...SECURITY_HEADERS,
      'content-type': file.type,
      'cache-control': isIndex ? 'no-store' : 'no-cache',
      etag: file.etag,
    };
    if (ifNoneMatch === file.etag && !isIndex) return new Response(undefined, { status: 304, headers });
    return new Response(file.bytes, { headers });
  }

  /** Reads the folder again when its index is newer: a rebuilt page needs no restart of the hub. */
  #refresh(): void {
    const index = join(this.#folder, 'index.html');
    const modifiedMs = existsSync(index) ? statSync(index).mtimeMs : 0;
    if (modifiedMs === this.#readAtMs) return;
    this.#readAtMs = modifiedMs;
    this.#files = modifiedMs === 0 ? new Map() : readFolder(this.#folder);
  }
}

function readFolder(folder: string): Map<string, StaticFile> {
  const files = new Map<string, StaticFile>();
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).slice(0, MAX_FILES)) {
    const path = join(folder, name);
    const type = TYPES[extname(name)];
    if (type === undefined || !statSync(path).isFile()) continue;
    const bytes = new Uint8Array(readFileSync(path));
    const etag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}"`;
    files.set(`/${name.split(sep).join('/')}`, { bytes, type, etag });
  }
  return files;
}
