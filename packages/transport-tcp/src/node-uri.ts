import { checkText, isName, wrongRange } from '@atoll/core'

/** The subject alternative name of a node's certificate unless another form is chosen. */
export const DEFAULT_URI = 'atoll://{cluster}/{node}'

const FORM = /^[a-z][a-z0-9+.-]*:\/\/[A-Za-z0-9{}._~:/-]{1,200}$/
const PLACE = '{node}'

/** How certificates name the nodes of one cluster. */
export interface NodeUri {
  /** The URI that is the name of a node. */
  of(node: string): string
  /** The node that a URI names, if it names one. */
  nodeIn(uri: string): string | undefined
}

/**
 * Of a form such as `spiffe://example.org/{cluster}/{node}`. Throws `TypeError` or `RangeError` for one that does not have
 * `{node}` once and last.
 */
export function nodeUri(form: string, cluster: string): NodeUri {
  checkText('tls.uri', form, FORM, 'a URI such as spiffe://example.org/{cluster}/{node}')
  const prefix = form.slice(0, -PLACE.length).replaceAll('{cluster}', cluster)
  if (!form.endsWith(`/${PLACE}`) || /[{}]/.test(prefix))
    throw wrongRange(
      'tls.uri',
      `must end with /{node}, and have no other part in braces but {cluster}, got "${form}"`,
    )
  return {
    of: (node) => prefix + node,
    nodeIn: (uri) => {
      const node = uri.slice(prefix.length)
      return uri.startsWith(prefix) && isName(node) ? node : undefined
    },
  }
}
