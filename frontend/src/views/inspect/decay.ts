/** Decayed counts through time: what a row tells of any moment, by the same rule as feature_repo/state.py. */

/** An event weighs 2^(-age / half-life); so does a whole count, when it is carried on to a later moment. */
export function weightAfter(elapsedMs: number, halfLifeS: number): number {
  return 2 ** (-Math.max(elapsedMs, 0) / 1_000 / halfLifeS)
}

/** What a row remembers of the events of one type. */
export interface Memory {
  /** Newest event of the row, of whatever type: the moment that its counts are as of. */
  asOfMs: number
  /** Times of the events of this type that the row keeps, oldest first. */
  timesMs: number[]
  /** From here on no event is missing in `timesMs`; -Infinity: none is missing at all. */
  completeFromMs: number
  /** How many events, of whatever type, happened before that. */
  forgotten: number
}

// The stored count is a float32, so its last digits are noise, which grows with every half-life that one goes back.
const TRUSTED_HALF_LIVES = 14
// Of a count: too little to be seen.
const NEGLIGIBLE = 0.005

/**
 * One decayed count at a moment; null where the row cannot tell.
 *
 * After the newest event the stored count is carried on. Before it the count is that of the events that had happened,
 * and, where the row has forgotten older ones, their rest: what the stored count holds beyond the remembered events.
 * The rest is left out where even all forgotten events together would have faded to nothing.
 *
 * @param stored the count as of `memory.asOfMs`.
 */
export function countAt(atMs: number, stored: number, halfLifeS: number, memory: Memory): number | null {
  if (atMs >= memory.asOfMs) return stored * weightAfter(atMs - memory.asOfMs, halfLifeS)
  if (atMs < memory.completeFromMs) return null
  const happened = sumOf(memory.timesMs, atMs, halfLifeS)
  if (memory.forgotten * weightAfter(atMs - memory.completeFromMs, halfLifeS) < NEGLIGIBLE) return happened
  const halfLivesBack = (memory.asOfMs - atMs) / 1_000 / halfLifeS
  if (halfLivesBack > TRUSTED_HALF_LIVES) return null
  const rest = Math.max(stored - sumOf(memory.timesMs, memory.asOfMs, halfLifeS), 0)
  return happened + rest * 2 ** halfLivesBack
}

/** The decayed count of events at these times. */
function sumOf(timesMs: number[], atMs: number, halfLifeS: number): number {
  return timesMs.reduce(
    (sum, timeMs) => (timeMs <= atMs ? sum + weightAfter(atMs - timeMs, halfLifeS) : sum),
    0,
  )
}

/** A moment on the curves: the count of every half-life by its name. */
export interface Point {
  at: number
  [halfLife: string]: number | null
}

const STEPS = 160
const BENT_HALVES = 16

/**
 * The counts of one event type, half-life by half-life, from one moment to another.
 *
 * @param stored half-life name -> count as of `memory.asOfMs`.
 * @param halfLivesS half-life name -> seconds.
 * @returns points in order of time, two at every event: just before it and with it.
 */
export function curves(
  stored: Record<string, number>,
  halfLivesS: Record<string, number>,
  memory: Memory,
  fromMs: number,
  toMs: number,
): Point[] {
  const moments = new Set<number>()
  for (let n = 0; n <= STEPS; n++) moments.add(Math.round(fromMs + ((toMs - fromMs) * n) / STEPS))
  // A short half-life bends within one step of a long span.
  for (const seconds of Object.values(halfLivesS)) {
    for (let half = 1; half <= BENT_HALVES; half++) {
      const at = memory.asOfMs + half * seconds * 500
      if (at > fromMs && at < toMs) moments.add(at)
    }
  }
  for (const timeMs of [...memory.timesMs, memory.asOfMs]) {
    if (timeMs > fromMs && timeMs < toMs) moments.add(timeMs - 1).add(timeMs)
  }
  return [...moments]
    .sort((a, b) => a - b)
    .map((at) => {
      const point: Point = { at }
      for (const [name, seconds] of Object.entries(halfLivesS)) {
        point[name] = countAt(at, stored[name] ?? 0, seconds, memory)
      }
      return point
    })
}

/** What the curves can show at once. */
export interface Span {
  name: string
  /** How far it reaches back from now. */
  backMs: number
  /** And ahead. */
  aheadMs: number
  /** From one mark of its axis to the next. */
  tickMs: number
}

const HOUR = 3_600_000
const DAY = 24 * HOUR

export const SPANS: Span[] = [
  { name: '1 h', backMs: HOUR, aheadMs: HOUR, tickMs: HOUR / 2 },
  { name: '1 day', backMs: DAY, aheadMs: DAY / 2, tickMs: DAY / 4 },
  { name: '1 week', backMs: 7 * DAY, aheadMs: 4 * DAY, tickMs: 2 * DAY },
  { name: '2 months', backMs: 60 * DAY, aheadMs: 30 * DAY, tickMs: 15 * DAY },
  { name: '4 months', backMs: 120 * DAY, aheadMs: 60 * DAY, tickMs: 30 * DAY },
  { name: '1 year', backMs: 365 * DAY, aheadMs: 60 * DAY, tickMs: 60 * DAY },
]

/** The shortest span that shows the newest event with some air before it. */
export function spanFor(ageMs: number): Span {
  const found = SPANS.find((span) => ageMs < span.backMs * 0.9)
  return found ?? (SPANS[SPANS.length - 1] as Span)
}
