/** What of the store is looked at. The address says it, so that a link shows the same. */
export interface Place {
  kind: Kind
  id: string
}

export type Kind = 'user' | 'item'

/** The place that an address names; null: none yet, so the chooser is shown. */
export function placeOf(path: string): Place | null {
  const found = /^\/inspect\/(users|items)\/([^/]+)\/?$/.exec(path)
  if (!found) return null
  return { kind: found[1] === 'users' ? 'user' : 'item', id: decoded(found[2] as string) }
}

/** The address of a place. */
export function addressOf({ kind, id }: Place): string {
  return `/inspect/${kind}s/${encodeURIComponent(id)}`
}

/** The plain API's path of the same row. */
export function apiPathOf({ kind, id }: Place): string {
  return `/${kind}s/${encodeURIComponent(id)}/features`
}

// A hand-typed address may hold a bare %: then it is meant as it stands.
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
