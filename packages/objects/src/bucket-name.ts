import { describe, wrongRange, wrongType } from '@atoll/core'

const LABEL = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/
const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/
const MIN = 3
const MAX = 63
/** What was found to be proper: every request names a bucket, and those of a process are mostly few. */
const proper = new Set<string>()
const MAX_PROPER = 1024

/**
 * Returns the name if it may name a bucket: 3 to 63 characters, labels of `a-z 0-9 -` joined by dots, each beginning
 * and ending with a letter or a digit, and not in the form of an IPv4 address. These are the rules of S3 and Riak CS.
 */
export function checkBucketName(name: unknown): string {
  if (typeof name !== 'string') throw wrongType('bucket', `must be a string, got ${describe(name)}`)
  if (proper.has(name)) return name
  const rule = brokenRule(name)
  if (rule !== undefined) throw wrongRange('bucket', `${describe(name)} ${rule}`)
  if (proper.size < MAX_PROPER) proper.add(name)
  return name
}

function brokenRule(name: string): string | undefined {
  if (name.length < MIN || name.length > MAX)
    return `must have ${MIN} to ${MAX} characters, it has ${name.length}`
  if (/[^a-z0-9.-]/.test(name)) return 'must consist of a-z, 0-9, dots and hyphens'
  if (!name.split('.').every((label) => LABEL.test(label)))
    return 'must begin and end each part between dots with a letter or a digit'
  if (IPV4.test(name)) return 'must not look like an IP address'
  return undefined
}
