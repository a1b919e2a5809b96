import { OWN_FOLDER } from '../own-folder.ts'
import { receiveFile, sendFile } from './bare-copy.ts'
import { bareLoad } from './bare-load.ts'
import { bareServers } from './bare-servers.ts'
import type { Answer, Commands, Question } from './commands.ts'
import { nodeCommands } from './node-commands.ts'
import { rpcServer } from './rpc-echo.ts'

// The other process of a measurement: it does what it is told until whoever started it is gone.
const [, , packages = OWN_FOLDER] = process.argv
const commands: Commands = {
  bareServers,
  bareLoad,
  rpcServer: (name, way) => rpcServer(packages, name, way),
  receiveFile,
  sendFile,
  usage: async () => {
    const { user, system } = process.cpuUsage()
    return { cpuSeconds: (user + system) / 1e6, rssBytes: process.memoryUsage.rss() }
  },
  ...nodeCommands(packages),
}

process.on('message', (question: Question) => void answer(question))
process.once('disconnect', () => process.exit())
tell({ id: 0 })

async function answer({ id, command, args }: Question): Promise<void> {
  try {
    tell({ id, result: await Reflect.apply(commands[command], undefined, args) })
  } catch (error) {
    tell({ id, error: `${error}` })
  }
}

function tell(told: Answer): void {
  process.send?.(told)
}
