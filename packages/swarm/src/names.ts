import { type KeyId, toHex, utf8 } from '@atoll/core'

export const BUCKET = 'reef'

const AT = '@'

/** How clients call a key that has a place. */
export function placed(key: string, place: string): string {
  return `${key}${AT}${place}`
}

export function recordId(type: string, name: string): KeyId {
  const [key = '', place] = name.split(AT)
  const id = { type, bucket: utf8(BUCKET), key: utf8(key) }
  return place === undefined ? id : { ...id, place: utf8(place) }
}

export function nameOf({ type, bucket, key, place }: KeyId): string {
  const name = `${type}/${toHex(bucket)}/${toHex(key)}`
  return place === undefined ? name : placed(name, toHex(place))
}
