/** A chart's curves as rows, for its table and for the chart itself. */
import type { Line } from './tiles'

/** A moment (ms since the epoch) and the lines' values by name. */
export type Row = { at: number } & Record<string, number | null>

export function rows(lines: readonly Line[]): Row[] {
  const found = new Map<number, Row>()
  for (const { name, curve } of lines)
    for (const [at, value] of curve) {
      const row = found.get(at) ?? ({ at } as Row)
      row[name] = value
      found.set(at, row)
    }
  return [...found.values()].sort((a, b) => a.at - b.at)
}

/** Rows that are `every_ms` apart at least, newest first: a table for people. */
export function thinned(all: readonly Row[], every_ms: number): Row[] {
  const kept: Row[] = []
  for (const row of [...all].reverse()) {
    const last = kept.at(-1)
    if (!last || last.at - row.at >= every_ms) kept.push(row)
  }
  return kept
}

export function clock(at: number): string {
  return new Date(at).toLocaleTimeString('en-GB')
}
