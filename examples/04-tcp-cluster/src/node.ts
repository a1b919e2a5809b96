import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openNode } from '@atoll/store'
import { tcp } from '@atoll/transport-tcp'
import type { NodeArguments } from './commands.ts'
import { obey } from './obey.ts'

// One node of the cluster, in a process of its own: this is all that it takes.
const { name, directory, listen, seeds }: NodeArguments = JSON.parse(process.argv[2] ?? '{}')
const pem = (file: string) => readFileSync(join(directory, `${file}.pem`), 'utf8')
const tls = { key: pem('key'), cert: pem('cert'), ca: pem('ca') }

const node = await openNode({
  name,
  path: join(directory, 'data'),
  partitions: 16, // so few that one can watch them move; the default is 64
  transport: tcp({ cluster: 'reef', listen, tls }),
  begin: 'n1', // the same on every node: n1 begins the cluster, unless a seed is of one
  seeds,
})

obey(node)
