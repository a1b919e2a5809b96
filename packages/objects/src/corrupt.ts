import { AtollError } from '@atoll/core'

export function corrupt(message: string, details: Readonly<Record<string, unknown>> = {}): AtollError {
  return new AtollError('ATOLL_CORRUPT', message, { details })
}
