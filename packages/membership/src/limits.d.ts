export declare const MAX_MEMBERS = 1024
export declare const MAX_BUCKET_TYPES = 256
export declare const MAX_BUCKET_TYPE_BYTES: number
export declare const MAX_FORCED = 100
export declare const MAX_RECENT = 32
/** A forced epoch begins the next of these. */
export declare const EPOCHS_PER_FORCE = 1000000
export declare function checkName(name: string, value: unknown): string
/** Anything that a transport understands. */
export declare function checkAddress(value: unknown): string
export declare function checkId(value: unknown): string
//# sourceMappingURL=limits.d.ts.map
