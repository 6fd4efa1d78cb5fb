import { formatMs } from '@/parts/time'

const WIDTH = 96
const HEIGHT = 24

/** Points of a line through values, from 0 at the bottom, in a field of WIDTH x HEIGHT. */
export function points(values: readonly number[]): [number, number][] {
  const top = Math.max(...values, 1)
  const step = values.length > 1 ? (WIDTH - 6) / (values.length - 1) : 0
  return values.map((value, at) => [3 + at * step, HEIGHT - 3 - (value / top) * (HEIGHT - 6)])
}

/** A small line through durations in ms, the oldest at the left; nothing for fewer than two. */
export function Sparkline({ values, label }: { values: readonly number[]; label: string }) {
  if (values.length < 2) return null
  const line = points(values)
  const [x, y] = line.at(-1) as [number, number]
  return (
    <svg width={WIDTH} height={HEIGHT} role="img" aria-label={`${label}: ${values.map(formatMs).join(', ')}`}>
      <polyline
        points={line.map((point) => point.map((at) => at.toFixed(1)).join(',')).join(' ')}
        fill="none"
        stroke="var(--accent)"
        strokeWidth="1.5"
        strokeLinejoin="round"
      />
      <circle cx={x} cy={y} r="2.5" fill="var(--accent)" />
    </svg>
  )
}
