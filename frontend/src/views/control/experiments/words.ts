/** How an experiment stands, in words. */
import type { components } from '@/api/schema/recommender'
import { fixed, percent, points } from '../numbers'
import type { State } from '../vitals/rules'

export type Experiment = components['schemas']['ExperimentResult']
export type Variant = components['schemas']['VariantResult']
export type Metric = Experiment['metric']

/** As `flows/outcome_results.py` writes it; the OpenAPI document leaves it open. */
export interface Result {
  impressions: number
  users: number
  clicks: number
  conversions: number
  computed_at: string
  versus_control: Versus | null
  [figure: string]: unknown
}

export interface Versus {
  difference: number
  low: number
  high: number
  p_value: number
  decided: boolean
}

export interface Rate {
  mean: number
  low: number
  high: number
}

export const METRICS: Record<Metric, string> = {
  ctr: 'lists with a click',
  conversion: 'lists with a conversion',
  ndcg: 'NDCG@10',
}

export function resultOf(variant: Variant): Result | null {
  return variant.result as Result | null
}

/** A metric's rate with its 95 % interval; null before any list. */
export function rateOf(result: Result | null, metric: Metric): Rate | null {
  if (!result || result.impressions === 0) return null
  return {
    mean: Number(result[metric]),
    low: Number(result[`${metric}_low`]),
    high: Number(result[`${metric}_high`]),
  }
}

/** Whether a comparison says anything yet: its interval is all of −1 to 1 until it does. */
export function isKnown(versus: Versus): boolean {
  return !(versus.low <= -1 && versus.high >= 1)
}

export function pWords(p: number): string {
  return p < 0.001 ? 'p < 0.001' : `p = ${fixed(p, p < 0.1 ? 3 : 2)}`
}

/** A variant against the control, and what to make of it. */
export function versusWords(versus: Versus, metric: Metric): { state: State; short: string; long: string } {
  if (!isKnown(versus) && !versus.decided)
    return {
      state: 'quiet',
      short: 'Too early to tell',
      long: 'A comparison begins with 50 users in each variant, and 20 lists with and without what is counted.',
    }
  const found = isKnown(versus)
    ? `${difference(versus.difference, metric)} (95 %: ${difference(versus.low, metric)} to ${difference(versus.high, metric)})`
    : difference(versus.difference, metric)
  if (!versus.decided)
    return {
      state: 'quiet',
      short: 'No difference shown yet',
      long: `${found}, ${pWords(versus.p_value)}. May be looked at any time: looking often costs nothing.`,
    }
  const crosses = versus.low <= 0 && versus.high >= 0
  const state = versus.difference > 0 ? 'good' : 'bad'
  const short = `${versus.difference > 0 ? 'Better' : 'Worse'} than control`
  const when = crosses ? ' at an earlier look, which stays decided.' : '. Decided: it may be ended now.'
  return { state, short, long: `${found}, ${pWords(versus.p_value)}${when}` }
}

/** What the experiment as a whole has come to. */
export function outcome({ variants, state }: Experiment): string {
  const compared = variants.flatMap((variant) => {
    const versus = resultOf(variant)?.versus_control
    return versus ? [{ name: variant.name, versus }] : []
  })
  const decided = compared.filter(({ versus }) => versus.decided)
  if (decided.length > 0) {
    const told = decided.map(
      ({ name, versus }) => `${name} is ${versus.difference > 0 ? 'better' : 'worse'} than the control`,
    )
    return `Decided: ${told.join(', ')}.`
  }
  if (state === 'ended') return 'It ended without a decision.'
  if (!variants.some((variant) => resultOf(variant)?.impressions)) return 'It waits for its first lists.'
  return 'Nothing is decided yet.'
}

/** A rate as it is written. */
export function figure(value: number, metric: Metric): string {
  return metric === 'ndcg' ? fixed(value, 3) : percent(value)
}

/** Rates in percentage points, NDCG as it is. */
export function difference(value: number, metric: Metric): string {
  if (metric !== 'ndcg') return `${points(value)} points`
  return value > 0 ? `+${fixed(value, 4)}` : fixed(value, 4)
}

/** What a variant does to its users' lists. */
export function treatment(variant: Variant): string {
  const rules = Object.entries(variant.rules).map(([name, value]) => `${name.replaceAll('_', ' ')} ${value}`)
  const model = variant.model === 'champion' ? [] : [`model ${variant.model}`]
  return [...model, ...rules].join(', ') || 'as everybody'
}
