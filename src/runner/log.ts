/** Where the loop writes its own log: the narrow part of the program's logger that it needs. Never given a token or a value of a container's environment. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
