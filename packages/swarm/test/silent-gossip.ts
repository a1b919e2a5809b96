import { Gossip } from '@atoll/gossip'

/** The fact by which nodes of one epoch tell which document they go by. */
const DOCUMENT_MARK = 'document'

/** For a bug: nobody tells which document it goes by. */
let isSilent = false

/** Of the run that this thread is at: there is one at a time. */
export function tellMarks(does: boolean): void {
  isSilent = !does
}

/** A gossip is made deep inside a node: so the class is seen through, not the object. */
const { publish } = Gossip.prototype
Gossip.prototype.publish = function (this: Gossip, name, value) {
  if (!isSilent || name !== DOCUMENT_MARK) publish.call(this, name, value)
}
