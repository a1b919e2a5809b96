import { poisonReturned } from '../src/lent-buffers.ts'

/** All tests run so: whoever looks at an array that was returned finds nothing of what was in it. */
poisonReturned()
