export interface Held {
  /** Waits until it is let go; at once if it was already. */
  readonly hold: () => Promise<void>
  /** Resolves at the first call of `hold`. */
  readonly reached: Promise<void>
  readonly letGo: () => void
}

/** Something that stands still until the test lets it go. */
export function held(): Held {
  let reach = () => {}
  let letGo = () => {}
  const reached = new Promise<void>((resolve) => {
    reach = resolve
  })
  const going = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const hold = () => {
    reach()
    return going
  }
  return { hold, reached, letGo }
}
