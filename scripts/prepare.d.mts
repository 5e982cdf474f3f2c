/** See prepare.mjs. */
export const root: string;
export const node: string;
