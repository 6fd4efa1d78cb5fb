/** Experiments for tests. */
import type { Experiment, Result, Variant } from './words'

export function result(given: Partial<Result> = {}): Result {
  return {
    impressions: 813,
    users: 216,
    clicks: 300,
    conversions: 20,
    computed_at: '2026-11-24T20:00:23Z',
    versus_control: null,
    ctr: 0.3,
    ctr_low: 0.25,
    ctr_high: 0.35,
    ...given,
  }
}

export function variant(given: Partial<Variant> = {}): Variant {
  return {
    name: 'control',
    share: 0.5,
    model: 'champion',
    rules: {},
    shadow: false,
    control: false,
    result: null,
    ...given,
  }
}

export function experiment(variants: Variant[], given: Partial<Experiment> = {}): Experiment {
  return {
    name: 'calm-lists',
    description: '',
    metric: 'ctr',
    state: 'running',
    started_at: '2026-11-24T19:00:00Z',
    ended_at: null,
    waits_for: [],
    variants,
    ...given,
  }
}
