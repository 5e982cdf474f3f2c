/** A JUnit report, in the form that CI services read. */

export interface JUnitCase {
  readonly name: string;
  /** The place in the file. */
  readonly classname: string;
  readonly seconds: number;
  /** Undefined: it passed. */
  readonly failure: { readonly message: string; readonly text: string } | undefined;
}

export function junitReport(suite: string, cases: readonly JUnitCase[]): string {
  const failures = cases.filter(({ failure }) => failure !== undefined).length;
  const seconds = cases.reduce((sum, one) => sum + one.seconds, 0).toFixed(3);
  const counts = `tests="${cases.length}" failures="${failures}" errors="0" skipped="0" time="${seconds}"`;
  const lines = cases.map(({ name, classname, seconds: own, failure }) => {
    const open = `    <testcase name="${escape(name)}" classname="${escape(classname)}" time="${own.toFixed(3)}"`;
    return failure === undefined ? `${open}/>` : `${open}>\n      <failure message="${escape(failure.message)}">${escape(failure.text)}</failure>\n    </testcase>`;
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts}>`,
    `  <testsuite name="${escape(suite)}" ${counts}>`,
    ...lines,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

/** XML 1.0 has no way to write most control characters. */
function escape(text: string): string {
  return text
    .replaceAll(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '?')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
