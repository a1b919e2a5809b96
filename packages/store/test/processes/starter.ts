import { isAtollError, messageOf } from '@atoll/core'
import { openNode } from '@atoll/store'

/** What a starter says: that it has the directory, or with which code it was refused. */
export interface Started {
  readonly code: 'open' | string
  readonly message: string
}

// One process that opens the directory of its argument when it is told to, and holds it until its parent is gone.
const path = process.argv[2] ?? ''
process.once('disconnect', () => process.exit())
process.on('message', () => void start())
process.send?.('ready')

async function start(): Promise<void> {
  try {
    const node = await openNode({ path })
    await node.objects.createBucket(`bucket-${process.hrtime.bigint()}`)
    tell({ code: 'open', message: '' })
  } catch (error) {
    tell({ code: isAtollError(error) ? error.code : 'other', message: messageOf(error) })
  }
}

function tell(started: Started): void {
  process.send?.(started)
}
