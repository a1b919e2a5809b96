// abstract-level forwards options that it does not know, `sync` among them, but its types do not name it.

/** Asks that a write be on disk before it resolves. */
export const SYNC: object = { sync: true }

export const NO_SYNC: object = { sync: false }
