/** One scale for all intervals of an experiment, so that lengths and places may be compared by eye. */
import type { Rate } from './words'

export interface Scale {
  low: number
  high: number
  ticks: number[]
}

const STEPS = [1, 2, 2.5, 5, 10]

/** A round step that divides a span into some `parts`. */
export function step(span: number, parts: number): number {
  const raw = span / parts
  const ten = 10 ** Math.floor(Math.log10(raw))
  return (STEPS.find((each) => each * ten >= raw - 1e-12) ?? 10) * ten
}

/** A scale that holds all rates, with round ends, within 0 to 1. */
export function scaleOf(rates: readonly Rate[], parts = 4): Scale {
  if (rates.length === 0) return withTicks(0, 1, 0.25)
  const low = Math.min(...rates.map((rate) => rate.low))
  const high = Math.max(...rates.map((rate) => rate.high))
  const by = step(Math.max(high - low, 0.004), parts)
  const from = Math.max(0, Math.floor(low / by + 1e-9) * by)
  const to = Math.min(1, Math.ceil(high / by - 1e-9) * by)
  return withTicks(from, to > from ? to : from + by, by)
}

function withTicks(low: number, high: number, by: number): Scale {
  const count = Math.round((high - low) / by)
  return {
    low,
    high,
    ticks: Array.from({ length: count + 1 }, (_, n) => low + n * by).filter((tick) => tick <= high + 1e-9),
  }
}

/** Where a value lies on a scale, 0 to 100. */
export function place(value: number, scale: Scale): number {
  return Math.min(100, Math.max(0, (100 * (value - scale.low)) / (scale.high - scale.low)))
}
