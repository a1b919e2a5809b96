/** Where a node keeps what it must not forget: a handful of small values. */
export interface MembershipStorage {
  get(key: string): Promise<Uint8Array | undefined>
  /** Resolves when the value is durable. */
  put(key: string, value: Uint8Array): Promise<void>
}
//# sourceMappingURL=ports.d.ts.map
