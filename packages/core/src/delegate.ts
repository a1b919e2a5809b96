/**
 * An object with everything that `original` has, itself or by its class, but for what is given instead. What is asked
 * of it is asked of the original at that moment: getters and methods run there, so that private fields are found.
 */
export function delegate<Port extends object, T extends Port>(original: T, instead: Partial<Port>): T {
  const properties: PropertyDescriptorMap = {}
  for (const [name, { value }] of descriptorsOf(original)) {
    const method: unknown = typeof value === 'function' ? value.bind(original) : undefined
    const get = method === undefined ? () => Reflect.get(original, name) : () => method
    properties[name] = { enumerable: true, get }
  }
  for (const [name, value] of Object.entries(instead)) properties[name] = { enumerable: true, value }
  return Object.create(original, properties)
}

/** Of the object itself and of its classes; of one name the nearest. */
function descriptorsOf(original: object): ReadonlyMap<string | symbol, PropertyDescriptor> {
  const found = new Map<string | symbol, PropertyDescriptor>()
  for (let at: object = original; ; ) {
    const above: unknown = Object.getPrototypeOf(at)
    // `Object.prototype`, of whatever realm, is the one without a prototype; so is what was made without any.
    if (typeof above !== 'object' || above === null) return at === original ? withOwn(found, at) : found
    withOwn(found, at)
    at = above
  }
}

function withOwn(
  found: Map<string | symbol, PropertyDescriptor>,
  object: object,
): Map<string | symbol, PropertyDescriptor> {
  for (const name of Reflect.ownKeys(object)) {
    const descriptor = Object.getOwnPropertyDescriptor(object, name)
    if (descriptor !== undefined && name !== 'constructor' && !found.has(name)) found.set(name, descriptor)
  }
  return found
}
