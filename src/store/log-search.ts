/**
 * SEARCH() of the query language: words and phrases in the texts of an entry, in any order, without regard to case.
 * Source: https://docs.cloud.google.com/logging/docs/view/logging-query-language#search-function (the default text analyzer of BigQuery)
 */

/** What separates words; a backslash escapes what would. */
const DELIMITERS = /[\s[\](){}<>|!;,'"*&?+/:=@.\-$%\\_^`~#]+/;

/** @param query words, and phrases in double or back quotes @returns whether each is somewhere in the texts */
export function createTextSearch(query: string): (texts: readonly string[]) => boolean {
  const exact: string[] = [];
  const rest = query.replaceAll(/`([^`]*)`/g, (_, phrase: string) => (exact.push(phrase.toLowerCase()), ' '));
  const phrases: string[][] = [];
  const bare = rest.replaceAll(/"([^"]*)"/g, (_, phrase: string) => (phrases.push(tokens(phrase)), ' '));
  phrases.push(...tokens(bare).map((word) => [word]));
  const wanted = phrases.filter((phrase) => phrase.length > 0);
  return (texts) => {
    const lower = texts.map((text) => text.toLowerCase());
    if (!exact.every((phrase) => lower.some((text) => isWhole(text, phrase)))) return false;
    // Most texts do not contain the word at all, and need not be taken apart.
    return wanted.every((phrase) => lower.some((text) => phrase.every((word) => text.includes(word)) && includes(tokens(text), phrase)));
  };
}

function tokens(text: string): string[] {
  return text
    .toLowerCase()
    .split(DELIMITERS)
    .filter((word) => word !== '');
}

function includes(words: readonly string[], phrase: readonly string[]): boolean {
  return words.some((_, at) => phrase.every((word, offset) => words[at + offset] === word));
}

/** In back quotes: as it stands, between delimiters. */
function isWhole(text: string, phrase: string): boolean {
  if (phrase === '') return true;
  for (let at = text.indexOf(phrase); at >= 0; at = text.indexOf(phrase, at + 1)) {
    const [before, after] = [text.charAt(at - 1), text.charAt(at + phrase.length)];
    if ((before === '' || DELIMITERS.test(before)) && (after === '' || DELIMITERS.test(after))) return true;
  }
  return false;
}
