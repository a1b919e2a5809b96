import type { ScanRequest, ScanVnode } from '@atoll/vnode'
import type { Route } from './route.ts'

/** The vnodes of a scan that go the same way. */
export interface ScanPart {
  readonly route: Route
  readonly request: ScanRequest
}

export function allHere(routes: readonly Route[]): boolean {
  return routes.every(({ kind }) => kind === 'here')
}

/** One request for each way that vnodes of the scan go; `routes` are theirs. */
export function splitScan(request: ScanRequest, routes: readonly Route[]): readonly ScanPart[] {
  const parts = new Map<string, { route: Route; vnodes: ScanVnode[] }>()
  for (const [at, vnode] of request.vnodes.entries()) {
    const route = routes[at]
    if (route === undefined) continue
    const name = nameOf(route)
    const part = parts.get(name) ?? { route, vnodes: [] }
    parts.set(name, part)
    part.vnodes.push(vnode)
  }
  return [...parts.values()].map(({ route, vnodes }) => ({ route, request: { ...request, vnodes } }))
}

/** Vnodes of one message share its routing, role apart. */
function nameOf(route: Route): string {
  return route.kind === 'forward' ? `${route.to} ${route.routing.bySeal} ${route.routing.epoch}` : route.kind
}
