import { cli } from './cli.ts'

process.exitCode = await cli(process.argv[2] ?? process.execPath)
