/** What a reader of the documentation relies on: every relative link leads somewhere, and no page is an orphan. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const pages: readonly string[] = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...['docs', 'examples'].flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md') && !name.includes('node_modules')).map((name) => join(folder, name))),
].sort();

interface Link {
  readonly from: string;
  readonly target: string;
}

function linksOf(page: string): Link[] {
  // Code is no prose: what looks like a link there is none.
  const prose = readFileSync(join(ROOT, page), 'utf8').replace(/^(```|~~~)[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g)].map((match) => ({ from: page, target: match[1] ?? '' })).filter((link) => !/^(https?:|mailto:)/.test(link.target));
}

/** The anchors of a page, as GitHub makes them from headings. */
function anchorsOf(file: string): ReadonlySet<string> {
  const headings = readFileSync(file, 'utf8').replace(/^(```|~~~)[\s\S]*?^\1/gm, '').matchAll(/^#{1,6}\s+(.+)$/gm);
  return new Set([...headings].map((match) => (match[1] ?? '').toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').trim().replace(/\s/g, '-')));
}

describe('documentation', () => {
  const links = pages.flatMap(linksOf);

  test('sees the pages', () => {
    expect(pages.length).toBeGreaterThan(15);
    expect(links.length).toBeGreaterThan(30);
  });

  test('relative links resolve, with their anchors', () => {
    const broken = links.filter(({ from, target }) => {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? join(ROOT, from) : resolve(ROOT, dirname(from), path);
      if (!existsSync(file)) return true;
      return anchor !== undefined && file.endsWith('.md') && !anchorsOf(file).has(anchor);
    });
    expect(broken.map(({ from, target }) => `${from} -> ${target}`)).toEqual([]);
  });

  test('every page is linked from another', () => {
    const linked = new Set(links.map(({ from, target }) => relative(ROOT, resolve(ROOT, dirname(from), target.split('#')[0] ?? ''))));
    expect(pages.filter((page) => page !== 'README.md' && !linked.has(page))).toEqual([]);
  });
});
