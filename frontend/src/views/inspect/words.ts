/** Times and numbers of the inspector in words. */

const UNITS: [number, string][] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
]

/** How long ago: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`, `50 d 16 h`. What lies ahead counts as now. */
export function ageOf(ms: number): string {
  const age = Math.max(ms, 0)
  if (age < 9_950) return `${(age / 1_000).toFixed(1)} s`
  if (age < 60_000) return `${Math.floor(age / 1_000)} s`
  if (age < 3_600_000)
    return `${Math.floor(age / 60_000)} min ${String(Math.floor(age / 1_000) % 60).padStart(2, '0')} s`
  if (age < 86_400_000) return `${Math.floor(age / 3_600_000)} h ${Math.floor(age / 60_000) % 60} min`
  const days = Math.floor(age / 86_400_000)
  return days < 100 ? `${days} d ${Math.floor(age / 3_600_000) % 24} h` : `${days} d`
}

/** A distance from now on an axis: `−30 min`, `now`, `+2 d`. */
export function distanceOf(ms: number): string {
  if (ms === 0) return 'now'
  const [unitMs, unit] = UNITS.find(([size]) => Math.abs(ms) >= size && ms % size === 0) ?? [1_000, 's']
  return `${ms < 0 ? '−' : '+'}${Math.round(Math.abs(ms) / unitMs)} ${unit}`
}

/** A moment, in the reader's own time zone. */
export function momentOf(ms: number): string {
  return new Date(ms).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
}

/** A decayed count, with the digits that still mean something. */
export function countText(value: number): string {
  if (value === 0) return '0'
  if (value < 0.0005) return '<0.001'
  if (value < 10) return value.toFixed(3)
  return value.toFixed(value < 100 ? 2 : 1)
}

/** Any value of a feature, as JSON says it, long lists by their length. */
export function valueText(value: unknown): string {
  if (value === null || value === undefined) return '–'
  if (Array.isArray(value))
    return value.length > 3 ? `${value.length} values` : value.map(String).join(', ') || 'empty'
  return typeof value === 'number' && !Number.isInteger(value)
    ? String(Number(value.toPrecision(7)))
    : String(value)
}

/** `add_to_cart` as people say it. */
export function typeText(type: string): string {
  return type.replaceAll('_', ' ')
}
