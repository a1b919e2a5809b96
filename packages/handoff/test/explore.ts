/** Everything that can become of a machine and of what it works on. */
export interface Worlds<World extends { readonly isDone: boolean }> {
  /** Every world that may follow. */
  after(world: World): readonly World[]
  /** The world when nothing goes wrong; undefined at the end. */
  goesOn(world: World): World | undefined
  /** What must never be so. */
  faultOf(world: World): string | undefined
}

export interface Explored {
  readonly worlds: number
  readonly fault: string | undefined
}

/** From anywhere, an attempt in which nothing fails has so many steps at most: a page and a round for each record. */
const MAX_STEPS = 40

/** Goes through every world that can be, breadth first, and stops at the first fault. */
export function explore<World extends { readonly isDone: boolean }>(
  worlds: Worlds<World>,
  first: World,
): Explored {
  const seen = new Set([nameOf(first)])
  const ends = new Set<string>()
  let queue = [first]
  while (queue.length > 0) {
    const following: World[] = []
    for (const world of queue) {
      const fault = worlds.faultOf(world) ?? stuck(worlds, world, ends)
      if (fault !== undefined) return { worlds: seen.size, fault: `${fault}: ${nameOf(world)}` }
      for (const next of worlds.after(world)) {
        const name = nameOf(next)
        if (seen.has(name)) continue
        seen.add(name)
        following.push(next)
      }
    }
    queue = following
  }
  return { worlds: seen.size, fault: undefined }
}

/** Whether attempts come to an end when nothing goes wrong any more. */
function stuck<World extends { readonly isDone: boolean }>(
  worlds: Worlds<World>,
  from: World,
  ends: Set<string>,
): string | undefined {
  const passed: string[] = []
  for (let world = from; !world.isDone; ) {
    const name = nameOf(world)
    if (ends.has(name)) break
    passed.push(name)
    if (passed.length > MAX_STEPS) return 'it does not come to an end'
    const next = worlds.goesOn(world)
    if (next === undefined) break
    world = next
  }
  for (const name of passed) ends.add(name)
  return undefined
}

function nameOf(world: object): string {
  return JSON.stringify(world, (_, value: unknown) => {
    return value instanceof Set || value instanceof Map ? [...value] : value
  })
}
