/**
 * docs/deviations.md is made from the `Deviation:` remarks in the source, so that the list cannot fall behind the code.
 * `npm test -- test/deviations.test.ts -u` writes it anew.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');
/** What a reader looks for, by the folder that it is written in. */
const SUBJECTS: readonly (readonly [prefix: string, title: string])[] = [
  ['services/run/', 'Cloud Run jobs'],
  ['services/iam/', 'IAM'],
  ['services/iam-policy.ts', 'IAM'],
  ['services/resourcemanager/', 'Resource Manager'],
  ['services/', 'Other APIs'],
  ['policy/', 'Policies and roles'],
  ['runner/', 'Running containers'],
  ['metadata/', 'Metadata server and tokens'],
  ['identity/', 'Metadata server and tokens'],
  ['server/', 'All APIs'],
  ['', 'Elsewhere'],
];

interface Deviation {
  readonly path: string;
  readonly text: string;
}

/** The remark, with what its line says before it, to the end of its sentences: lines of the same comment, until one ends with a full stop. */
function deviationsOf(path: string): Deviation[] {
  const lines = readFileSync(join(SRC, path), 'utf8').split('\n');
  return lines.flatMap((line, at) => {
    const [, before = '', remark] = /^\s*(?:\/\*\*|\*|\/\/)\s?(.*?)Deviation: (.*)$/.exec(line) ?? [];
    if (remark === undefined) return [];
    let text = trim(before === '' ? remark : before + remark.charAt(0).toUpperCase() + remark.slice(1));
    for (let next = at + 1; !/[.!?:]$/.test(text) && !line.includes('*/'); next += 1) {
      const more = /^\s*(?:\*(?!\/)|\/\/)\s?(.*)$/.exec(lines[next] ?? '')?.[1];
      if (more === undefined || /^\s*(@|$|Deviation:)/.test(more)) break;
      text += ` ${trim(more)}`;
      if ((lines[next] ?? '').includes('*/')) break;
    }
    return [{ path, text: text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.') }];
  });
}

function trim(text: string): string {
  return text.replace(/\s*\*\/.*$/, '').trim();
}

function render(deviations: readonly Deviation[]): string {
  const bySubject = Map.groupBy(deviations, ({ path }) => SUBJECTS.find(([prefix]) => path.startsWith(prefix))?.[1] ?? 'Elsewhere');
  const sections = [...new Set(SUBJECTS.map(([, title]) => title))].flatMap((title) => {
    const own = bySubject.get(title);
    return own === undefined ? [] : [`## ${title}\n\n${own.map(({ path, text }) => `- ${text} ([${path}](../src/${path}))`).join('\n')}\n`];
  });
  const head = [
    '# Deviations',
    '',
    'Where actas differs from Google Cloud on purpose. Each line is a remark in the source file that it names.',
    'What actas does not offer at all is listed in the [README](../README.md#not-yet) and in [errors](errors.md#not-implemented-501).',
    '',
    '<!-- Made by `npm test -- test/deviations.test.ts -u`; do not edit. -->',
    '',
  ];
  return `${head.join('\n')}\n${sections.join('\n')}`;
}

test('docs/deviations.md lists every deviation that the source declares', async () => {
  const paths = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.startsWith('gen/'))
    .sort();
  const deviations = paths.flatMap(deviationsOf);
  expect(deviations.length).toBeGreaterThan(3);
  await expect(render(deviations), 'stale: run `npm test -- test/deviations.test.ts -u` and commit docs/deviations.md').toMatchFileSnapshot(join(ROOT, 'docs/deviations.md'));
});
