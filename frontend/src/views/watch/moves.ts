/** What moved between two orders of a list. */

export type Move = { kind: 'new' } | { kind: 'up'; by: number }

/** By id: which came in, and which rose and by how many places. What fell or stayed is not told: it was pushed. */
export function moves(before: readonly string[], after: readonly string[]): Map<string, Move> {
  const places = new Map(before.map((id, place) => [id, place]))
  const told = new Map<string, Move>()
  if (before.length === 0) return told
  after.forEach((id, place) => {
    const was = places.get(id)
    if (was === undefined) told.set(id, { kind: 'new' })
    else if (was > place) told.set(id, { kind: 'up', by: was - place })
  })
  return told
}

/** `new here`, `up 3`. */
export function moveInWords(move: Move): string {
  return move.kind === 'new' ? 'new here' : `up ${move.by}`
}

/** One sentence for those who do not see it. */
export function movesInWords(told: ReadonlyMap<string, Move>): string {
  const arrived = [...told.values()].filter(({ kind }) => kind === 'new').length
  const rose = told.size - arrived
  if (!told.size) return 'The list kept its order.'
  return `The list changed: ${arrived} new, ${rose} moved up.`
}
