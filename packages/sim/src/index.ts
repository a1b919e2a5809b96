export {
  checkConvergence,
  checkListing,
  checkReads,
  checkSets,
  checkWrites,
  type FinalReads,
  type ReplicaValues,
  type Violation,
  type WriteOrder,
} from './check-history.ts'
export type { ArmedFailure } from './device.ts'
export { DiskCopy, SimDisk } from './disk.ts'
export { DiskError, type DiskErrorCode } from './disk-error.ts'
export { type Draw, type Draws, drawOptions, integer, oneOf, sometimes } from './draw-options.ts'
export type { Scheduler } from './event-queue.ts'
export {
  type Fault,
  type FaultBudget,
  type FaultKind,
  type FaultPlanOptions,
  type PlannedFault,
  planFaults,
} from './faults.ts'
export { describeOperation, type Intent, type Operation, OperationHistory, type Outcome } from './history.ts'
export { MachineClock } from './machine-clock.ts'
export { Nemesis, type NemesisOptions, type QuietOptions, waitForQuiet } from './nemesis.ts'
export type { DiskOptions, MicrosRange, RunLimits, WorldOptions } from './options.ts'
export type { NetworkConditions, NetworkPort, NodesPort } from './ports.ts'
export { Prng } from './prng.ts'
export {
  describeFailure,
  runSeed,
  runSeeds,
  type Scenario,
  type SeedRange,
  type SeedReport,
  type SwarmSummary,
} from './run-seeds.ts'
export { SimLevel } from './sim-level.ts'
export { createWorld, type Drive, type SimRuntime, World } from './world.ts'
export { WorldError, type WorldFailure } from './world-error.ts'
