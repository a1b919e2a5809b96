import { checkInteger, checkKnown } from '@atoll/core'
import { checkName } from './limits.js'

const DEFAULTS = {
  callTimeoutMs: 1000,
  proposeTimeoutMs: 10_000,
  maxRounds: 64,
  backoffMs: 20,
  maxQueued: 1000,
}
const LIMITS = {
  callTimeoutMs: { min: 1, max: 3_600_000 },
  proposeTimeoutMs: { min: 1, max: 3_600_000 },
  maxRounds: { min: 1, max: 10_000 },
  backoffMs: { min: 1, max: 1000 },
  maxQueued: { min: 1, max: 1_000_000 },
}
/** The options with their defaults. Throws `TypeError` or `RangeError`. */
export function validateMembershipOptions(options) {
  checkKnown('membership options', options, ['node', ...Object.keys(DEFAULTS)])
  checkName('node', options.node)
  const value = (name) => checkInteger(name, options[name] ?? DEFAULTS[name], LIMITS[name])
  return {
    node: options.node,
    callTimeoutMs: value('callTimeoutMs'),
    proposeTimeoutMs: value('proposeTimeoutMs'),
    maxRounds: value('maxRounds'),
    backoffMs: value('backoffMs'),
    maxQueued: value('maxQueued'),
  }
}
//# sourceMappingURL=options.js.map
