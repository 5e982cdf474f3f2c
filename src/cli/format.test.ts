/** What `--format` prints. Every expected text is what gcloud 528 printed for the same values and the same expression. */
import { describe, expect, it } from 'vitest';
import { flattened } from './flatten.ts';
import { parseFormat, printList, printResource } from './format.ts';
import { createTerminal } from './terminal.ts';

const ITEMS = [
  {
    name: 'projects/p/jobs/b',
    n: 3,
    createTime: '2026-11-24T17:58:41.123456Z',
    labels: { z: '1', a: 'x,y' },
    args: ['a', 'b c'],
    flag: true,
    cs: [
      { name: 'm', image: 'x/y:1' },
      { name: 's', image: 'z' },
    ],
    size: 123_456,
  },
  { name: 'projects/p/jobs/a', n: 20, createTime: '2026-10-24T17:58:41Z', labels: {}, args: [], cs: [], flag: false },
];

async function print(format: string, items: readonly object[] | object = ITEMS): Promise<string> {
  let text = '';
  const sink = { write: (part: string) => void (text += part), isTTY: false, columns: undefined, stream: process.stdout };
  const terminal = createTerminal({ env: {}, out: sink, err: sink, stdin: process.stdin, onInterrupt: () => () => {} }, { quiet: true });
  await (Array.isArray(items) ? printList(terminal, parseFormat(format), items) : printResource(terminal, parseFormat(format), items));
  return text;
}

describe('values', () => {
  it.each([
    ['value(name,n)', 'projects/p/jobs/b\t3\nprojects/p/jobs/a\t20\n'],
    ['value[separator="\\n"](name,n)', 'projects/p/jobs/b\n3\nprojects/p/jobs/a\n20\n'],
    ['value[terminator=","](name)', 'projects/p/jobs/b,projects/p/jobs/a,'],
    ['get(name)', 'projects/p/jobs/b\nprojects/p/jobs/a\n'],
    ['csv(name:label=Foo,labels,args)', 'foo,labels,args\nprojects/p/jobs/b,"a=x,y";z=1,a;b c\nprojects/p/jobs/a,,\n'],
    ['csv[no-heading](name,n,flag)', 'projects/p/jobs/b,3,True\nprojects/p/jobs/a,20,False\n'],
    ['csv[delimiter="|"](cs.name)', 'name\nm|s\n\n'],
    ['value(args.list(),labels.list(),cs)', "a,b c\ta=x,y,z=1\t{'name': 'm', 'image': 'x/y:1'};{'name': 's', 'image': 'z'}\n\t\t\n"],
    ['value(cs[].name)', 'm;s\n\n'],
    ['value(cs[0])', 'image=x/y:1;name=m\n\n'],
    ['value(name:sort=1)', 'projects/p/jobs/b\nprojects/p/jobs/a\n'],
    ['value(create_time)', '2026-11-24T17:58:41.123456Z\n2026-10-24T17:58:41Z\n'],
    ['none', ''],
  ])('%s', async (format, text) => expect(await print(format)).toBe(text));
});

describe('transforms', () => {
  it.each([
    ['createTime.date()', '2026-11-24T17:58:41\n2026-10-24T17:58:41\n'],
    ['createTime.date("%d %b"),createTime.date(tz=US/Pacific)', '24 Nov\t2026-11-24T09:58:41\n24 Oct\t2026-10-24T10:58:41\n'],
    ['args.join("|"),flag.yesno(),flag.yesno(yes=Y,no=N),missing.yesno()', 'a|b c\tTrue\tY\tNo\n\tNo\tN\tNo\n'],
    ['size.size(),n.size(zero=z)', '120.6 KiB\t3 bytes\n0\t20 bytes\n'],
    ['cs.map().extract(name,image)', "['m', 'x/y:1'];['s', 'z']\n\n"],
    ['format("{0}-{1}",name,n)', 'projects/p/jobs/b-3\nprojects/p/jobs/a-20\n'],
    ['firstof(missing,n)', '3\n20\n'],
    ['name.segment(1),name.segment(9),name.scope(projects)', 'p\t\tprojects/p/jobs/b\np\t\tprojects/p/jobs/a\n'],
    ['n.len(),args.len(),labels.len(),missing.len()', '0\t2\t2\t0\n0\t0\t0\t0\n'],
    ['name.split("/").slice(1:2),name.sub("b$","q")', 'p\tprojects/p/jobs/q\np\tprojects/p/jobs/a\n'],
    ['labels.flatten(show=keys),cs.flatten()', 'a,z\timage=x/y:1,name=m,image=z,name=s\n\t\n'],
  ])('%s', async (keys, text) => expect(await print(`value(${keys})`)).toBe(text));
});

describe('tables', () => {
  it.each([
    ['table(name.basename():sort=1, n:label=COUNT, args)', "NAME  COUNT  ARGS\na     20     []\nb     3      ['a', 'b c']\n"],
    ['table[no-heading](name:sort=1:reverse,n)', 'projects/p/jobs/b  3\nprojects/p/jobs/a  20\n'],
    ['table(name, n:align=right, missing:optional, missing2)', 'NAME                N  MISSING2\nprojects/p/jobs/b   3\nprojects/p/jobs/a  20\n'],
    ['table[box](name.basename(),n)', '┌──────┬────┐\n│ NAME │ N  │\n├──────┼────┤\n│ b    │ 3  │\n│ a    │ 20 │\n└──────┴────┘\n'],
    ['table[box,no-heading](n)', '┌────┐\n│ 3  │\n│ 20 │\n└────┘\n'],
  ])('%s', async (format, text) => expect(await print(format)).toBe(text));
});

describe('whole resources', () => {
  it.each([
    ['list(name,n)', ' - projects/p/jobs/b\n   3\n - projects/p/jobs/a\n   20\n'],
    [
      'flattened(name,labels,args)',
      '---\nargs[0]:  a\nargs[1]:  b c\nlabels.a: x,y\nlabels.z: 1\nname:     projects/p/jobs/b\n---\nargs:   []\nlabels: {}\nname:   projects/p/jobs/a\n',
    ],
    ['flattened[separator="="](labels)', '---\nlabels.a=x,y\nlabels.z=1\n---\nlabels={}\n'],
    ['text(name)', '---\nname: projects/p/jobs/b\n---\nname: projects/p/jobs/a\n'],
    ['yaml(name,cs[0].image,missing)', '---\ncs:\n- image: x/y:1\nname: projects/p/jobs/b\n---\ncs: []\nname: projects/p/jobs/a\n'],
  ])('%s', async (format, text) => expect((await print(format)).replaceAll('  - ', '- ')).toBe(text));

  it.each<[string, unknown]>([
    [
      'json(name,labels,missing)',
      [
        { labels: { a: 'x,y', z: '1' }, name: 'projects/p/jobs/b' },
        { labels: {}, name: 'projects/p/jobs/a' },
      ],
    ],
    [
      'json(name.basename(), cs[].name)',
      [
        { cs: [{ name: 'm' }, { name: 's' }], name: 'b' },
        { cs: [], name: 'a' },
      ],
    ],
    ['json(missing)', [null, null]],
  ])('%s', async (format, value) => expect(JSON.parse(await print(format))).toEqual(value));

  it('one alone has no line before it', async () => {
    expect(await print('flattened(labels)', ITEMS[0] ?? {})).toBe('labels.a: x,y\nlabels.z: 1\n');
    // In YAML 1.1 a bare n is a boolean.
    expect(await print('yaml(n)', ITEMS[0] ?? {})).toBe('"n": 3\n');
  });
});

describe('--flatten', () => {
  const policy = {
    etag: 'x',
    bindings: [
      { role: 'r1', members: ['a', 'b'] },
      { role: 'r2', members: ['c'] },
    ],
  };
  it.each<[string, object[]]>([
    [
      'bindings',
      [
        { etag: 'x', bindings: policy.bindings[0] },
        { etag: 'x', bindings: policy.bindings[1] },
      ],
    ],
    ['bindings[].members', ['a', 'b', 'c'].map((members) => ({ etag: 'x', bindings: { role: members === 'c' ? 'r2' : 'r1', members } }))],
    ['nothing', []],
  ])('%s', (key, items) => expect(flattened([policy], [key])).toEqual(items));
});

it.each([
  ['toml', 'Unknown format'],
  ['value', 'needs the fields'],
  ['table[colour](name)', "'colour' in the brackets of table is not supported"],
  ['value(name.frobnicate())', "Unknown transform 'frobnicate()'"],
  ['table(name:sortt=1)', "':sortt=1' behind name is not supported"],
  ['value(createTime.date("%Q"))', "'%Q' in the format of a time is not supported"],
  ['value(createTime.date(tz=Mars/Base))', "'Mars/Base' is not a time zone"],
  ['value(name.sub("(",x))', 'is not a regular expression'],
])('%s is refused', async (format, words) => {
  await expect(print(format)).rejects.toThrow(words);
});
