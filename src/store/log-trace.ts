/**
 * Tells which lines of a container belong to one stack trace, by the forms in which Java, Python, Node.js, Go, Ruby, .NET and PHP print them. Google's
 * platform groups them too, so that an exception is one entry; the languages are those of https://docs.cloud.google.com/error-reporting/docs/formatting-error-messages.
 */

export interface TraceState {
  readonly language: Language;
  /** Of the last line, nanoseconds, in decimal. */
  readonly timeNs: string;
  /** Characters so far. */
  readonly size: number;
  /** The line that ends a Python trace was seen, or the like: only another trace of the chain may follow. */
  readonly isOver: boolean;
}
type Language = 'java' | 'python' | 'go' | 'ruby' | 'dotnet' | 'php';

/** Lines of a trace are written at once. */
const MAX_GAP_NS = 1_000_000_000n;
/** What one entry may hold. */
const MAX_CHARS = 200_000;

const STARTS: readonly (readonly [Language, RegExp])[] = [
  ['python', /^\s*(?:\d{4}-\d\d-\d\d\S* )?Traceback \(most recent call last\):$/],
  ['go', /^(?:panic: |fatal error: |http: panic serving|goroutine \d+ \[[^\]]+\]:)/],
  ['php', /^(?:PHP )?(?:Fatal|Parse) error: /],
  ['dotnet', /^Unhandled [Ee]xception[.:] /],
  ['ruby', /^[^\s:]+\.rb:\d+:in [`']/],
  // Node.js prints as Java does: a name with a message, then `at`.
  ['java', /^(?:Exception in thread "[^"]*" )?(?:Uncaught )?(?:[\w$.]*\.)?[A-Z]\w*(?:Error|Exception|Throwable|Failure)\b(?:: |:$|$|\s\[)/],
];

const CONTINUES: Readonly<Record<Language, RegExp>> = {
  java: /^(?:\s+at |\s+\.\.\. \d+ (?:more|common frames omitted)|\s*Caused by: |\s*Suppressed: |\s+\[?(?:cause|errors|code|errno|syscall)\]?: |\s+--- End of |[}\]]+,?$|Node\.js v\d)/,
  python: /^(?:\s+\S|$)/,
  go: /^(?:goroutine \d+ |\s|\S+\(.*\)$|\[signal |created by |panic: |exit status \d|$)/,
  ruby: /^\s+(?:\d+: )?from /,
  dotnet: /^(?:\s+at |\s*---> |\s+--- )/,
  php: /^(?:Stack trace:|#\d+ |\s+thrown in |$)/,
};
/** A Python trace ends with an unindented line, after which another of its chain may follow. */
const PYTHON_END = /^[\w.]+(?::|$)/;
const PYTHON_CHAIN = /^(?:$|During handling of the above exception|The above exception was the direct cause|\s*Traceback \(most recent call last\):$)/;

/** @returns the state after a line that may begin a trace, else undefined */
export function startTrace(text: string, timeNs: bigint): TraceState | undefined {
  if (text.length > 2000) return undefined;
  const language = STARTS.find(([, pattern]) => pattern.test(text))?.[0];
  return language === undefined ? undefined : { language, timeNs: String(timeNs), size: text.length, isOver: false };
}

/** @returns the state with the line, or undefined where it does not belong to the trace */
export function continueTrace(state: TraceState, text: string, timeNs: bigint): TraceState | undefined {
  const size = state.size + 1 + text.length;
  if (size > MAX_CHARS || timeNs - BigInt(state.timeNs) > MAX_GAP_NS) return undefined;
  const next: TraceState = { ...state, timeNs: String(timeNs), size };
  if (state.language !== 'python') return CONTINUES[state.language].test(text) ? next : undefined;
  if (PYTHON_CHAIN.test(text) && (state.isOver || text !== '')) return { ...next, isOver: !text.includes('Traceback') };
  if (state.isOver) return undefined;
  if (CONTINUES.python.test(text)) return next;
  return PYTHON_END.test(text) ? { ...next, isOver: true } : undefined;
}
