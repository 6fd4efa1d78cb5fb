/** How two lists of items differ. */

/** Where an item of the second list stood in the first. */
export type Move =
  | { kind: 'same' }
  | { kind: 'moved'; by: number } // places; positive: further up than in the other list
  | { kind: 'only' }

export interface Difference {
  /** Places compared: those that both lists have. */
  k: number
  /** Items among the first k of both. */
  shared: number
  /** shared / k; null when a list is empty. */
  overlap: number | null
  /** Kendall's tau over all shared items, -1 (reversed) to 1 (same order); null with fewer than two. */
  tau: number | null
  /** How the items of each list stand against the other list, in the list's order. */
  a: Move[]
  b: Move[]
  /** Places (from 0) of the items that are in both lists: in a, in b; in the order of a. */
  pairs: [number, number][]
}

/** Compares two lists of different items, best first. */
export function difference(a: string[], b: string[]): Difference {
  const inA = placesOf(a)
  const inB = placesOf(b)
  const pairs = a.flatMap((id, place): [number, number][] => {
    const other = inB.get(id)
    return other === undefined ? [] : [[place, other]]
  })
  const k = Math.min(a.length, b.length)
  const shared = pairs.filter(([one, other]) => one < k && other < k).length
  return {
    k,
    shared,
    overlap: k ? shared / k : null,
    tau: kendall(pairs),
    a: a.map((id, place) => moveOf(place, inB.get(id))),
    b: b.map((id, place) => moveOf(place, inA.get(id))),
    pairs,
  }
}

/** Whether both lists hold the same items in the same order. */
export function alike(found: Difference): boolean {
  return found.a.length === found.b.length && found.a.every((move) => move.kind === 'same')
}

function placesOf(ids: string[]): Map<string, number> {
  return new Map(ids.map((id, place) => [id, place]))
}

function moveOf(place: number, other: number | undefined): Move {
  if (other === undefined) return { kind: 'only' }
  return other === place ? { kind: 'same' } : { kind: 'moved', by: other - place }
}

function kendall(pairs: [number, number][]): number | null {
  if (pairs.length < 2) return null
  let agreeing = 0
  let all = 0
  for (const [n, [a1, b1]] of pairs.entries()) {
    for (const [a2, b2] of pairs.slice(n + 1)) {
      agreeing += Math.sign((a2 - a1) * (b2 - b1))
      all += 1
    }
  }
  return agreeing / all
}
