/** Durations and moments in words for people. */

/** Milliseconds as a person reads them: `0.4 ms`, `23 ms`, `1.4 s`, `2 min`; `–` for none. */
export function formatMs(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return '–'
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  return `${Math.round(ms / 60_000)} min`
}

const STEPS: [number, Intl.RelativeTimeFormatUnit][] = [
  [60, 'second'],
  [60, 'minute'],
  [24, 'hour'],
  [30, 'day'],
  [12, 'month'],
  [Number.POSITIVE_INFINITY, 'year'],
]
const RELATIVE = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' })

/** How long ago `then` was at `now`, both in ms since the epoch: `now`, `12 sec. ago`, `3 mo. ago`. */
export function agoInWords(then: number, now: number): string {
  let amount = Math.max(0, now - then) / 1_000
  for (const [size, unit] of STEPS) {
    if (amount < size) return RELATIVE.format(-Math.floor(amount), unit)
    amount /= size
  }
  return ''
}

/** How soon the words for an age of so many ms change, in ms. */
export function changesWithin(ageMs: number): number {
  if (ageMs < 60_000) return 1_000
  return ageMs < 3_600_000 ? 20_000 : 600_000
}
