/** What a small curve is drawn from. */

/** A moment (ms since the epoch) and a value; null where nothing happened. */
export type Point = readonly [number, number | null]
export type Curve = readonly Point[]

/** The span that every curve covers, in ms. */
export const SPAN_MS = 300_000

/** The newest value that is one, and how old it is in ms; null when the curve has none. */
export function lastKnown(curve: Curve): { value: number; age_ms: number } | null {
  const newest = curve.at(-1)?.[0] ?? 0
  for (let n = curve.length - 1; n >= 0; n--) {
    const [at, value] = curve[n] as Point
    if (value !== null) return { value, age_ms: newest - at }
  }
  return null
}

/** A curve with one more point, without what is older than the span or came at the same moment. */
export function extended(curve: Curve, at: number, value: number | null): Curve {
  if (curve.at(-1)?.[0] === at) return curve
  return [...curve.filter(([each]) => each > at - SPAN_MS), [at, value]]
}

/** How much a counter grew along its curve; a restart of its process begins anew. */
export function growth(curve: Curve): number {
  const values = curve.flatMap(([, value]) => (value === null ? [] : [value]))
  return values.slice(1).reduce((sum, value, n) => sum + Math.max(0, value - (values[n] as number)), 0)
}

/** The highest value of some curves and of a line that must be seen; never 0. */
export function top(curves: readonly Curve[], line = 0): number {
  const values = curves.flatMap((curve) => curve.map(([, value]) => value ?? 0))
  return Math.max(line, ...values) || 1
}

/**
 * SVG paths of a curve in a box, one for each stretch without a gap.
 *
 * @param until - moment of the right edge, ms since the epoch; the left edge is SPAN_MS before.
 * @param highest - value at the top edge; the bottom edge is 0.
 */
export function paths(curve: Curve, until: number, highest: number, width: number, height: number): string[] {
  const found: string[] = []
  let stretch: string[] = []
  const finish = () => {
    // A lone point has no length: a stroke of none with round ends is a dot.
    if (stretch.length === 1) stretch.push(`${stretch[0]?.replace('M', 'L')}`)
    if (stretch.length) found.push(stretch.join(''))
    stretch = []
  }
  for (const [at, value] of curve) {
    if (value === null) {
      finish()
      continue
    }
    const x = Math.max(0, width * (1 - (until - at) / SPAN_MS))
    const y = height * (1 - Math.min(1, value / highest))
    stretch.push(`${stretch.length ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`)
  }
  finish()
  return found
}
