/** Thrown in the place of an answer that nobody here can give: the check says unknown, and why. */
export class Untold extends Error {}
