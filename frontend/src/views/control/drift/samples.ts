/** Looks for drift, for tests. */
import type { Feature, Report } from './words'

export function feature(given: Partial<Feature> = {}): Feature {
  return { distance: 0.05, threshold: 0.1, drifted: false, counts: true, ...given }
}

export function report(given: Partial<Report> = {}): Report {
  return {
    at: '2026-11-24T20:00:23Z',
    version: '1',
    verdict: 'no drift',
    reason: '0 of 2 features',
    rows: 1200,
    share: 0,
    features: {},
    alerts: [],
    training: null,
    ...given,
  }
}
