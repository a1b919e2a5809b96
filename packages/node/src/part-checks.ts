import { BucketTypes, validateCoordinatorOptions } from '@atoll/coordinator'
import { checkMethods, checkObject, PORT_METHODS, wrongType } from '@atoll/core'
import { validateGossipOptions } from '@atoll/gossip'
import { validateHandoffOptions } from '@atoll/handoff'
import { KV_TYPES, validateObjectStoreOptions } from '@atoll/objects'
import { validateVnodeHostOptions } from '@atoll/vnode'
import type { CommonOptions } from './options.ts'

/** What the node tells its parts, whatever their options say: of some right form here. */
const TOLD_LATER = { node: 'n1', partitions: 8 }

/** Throws `TypeError` for what is no runtime; names the port or the method that it lacks. */
export function checkRuntime(runtime: unknown): void {
  const ports = checkObject('runtime', runtime)
  for (const [port, methods] of Object.entries(PORT_METHODS))
    checkMethods(`runtime.${port}`, Reflect.get(ports, port), methods)
}

/**
 * What a node logs to and counts with, and the parts that have options of their own: checked before anything is opened.
 * Throws `TypeError` or `RangeError`.
 */
export function checkParts(options: CommonOptions & { readonly runtime?: unknown }): void {
  for (const name of ['log', 'metrics'] as const) {
    if (options[name] === undefined) continue
    if (options.runtime !== undefined)
      throw wrongType(name, 'must not be given together with runtime, which has its own')
    checkMethods(name, options[name], PORT_METHODS[name])
  }
  for (const part of ['objects', 'coordinator', 'vnodes', 'gossip', 'handoff', 'merges'] as const)
    if (options[part] !== undefined) checkObject(part, options[part])
  validateObjectStoreOptions(options.objects ?? {})
  validateCoordinatorOptions(options.coordinator ?? {})
  validateVnodeHostOptions({ ...options.vnodes, ...TOLD_LATER })
  validateGossipOptions({ ...options.gossip, node: TOLD_LATER.node })
  validateHandoffOptions(options.handoff ?? {})
  bucketTypesOf(options)
}

/** Those of the objects, and what the options say of these and of others. Throws `TypeError` or `RangeError`. */
export function bucketTypesOf({ bucketTypes = {}, merges = {} }: CommonOptions): BucketTypes {
  const given = Object.entries(checkObject('bucketTypes', bucketTypes))
  for (const [type, properties] of given) checkObject(`bucketTypes.${type}`, properties)
  const types = new BucketTypes({ merges })
  for (const [type, properties] of [...Object.entries(KV_TYPES), ...given]) types.set(type, properties)
  return types
}
