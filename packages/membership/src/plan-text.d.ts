import type { ClusterDocument } from './document.ts'
import type { Plan } from './plan.ts'
/** A plan in a few lines, for an operator: what changes, who gives and gets how much, and what it cannot keep. */
export declare function planText(document: ClusterDocument, plan: Plan): string
//# sourceMappingURL=plan-text.d.ts.map
