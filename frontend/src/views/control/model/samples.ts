/** Versions and releases for tests. */
import type { GateReport, Version } from './gate'
import type { Served } from './trial'

export function report(given: Partial<GateReport> = {}): GateReport {
  return {
    passed: true,
    against: 'version 1',
    summary: 'passed',
    checks: [],
    ratios: {},
    numbers: {},
    ...given,
  }
}

export function version(given: Partial<Version> = {}): Version {
  return {
    version: '1',
    bundle: '20261124T194204-c597dc97',
    created_at: '2026-11-24T19:42:21Z',
    aliases: [],
    description: null,
    gate: 'passed',
    gate_report: report(),
    release: null,
    rolled_back: null,
    metrics: {},
    run_url: null,
    tags: {},
    ...given,
  }
}

export function served(given: Partial<Served> = {}): Served {
  return {
    model_version: '20261124T194204-c597dc97',
    registered_version: '1',
    variant: 'champion',
    source: 'registry',
    loaded_at: '2026-11-24T19:42:40Z',
    items: 1682,
    item_table_age_s: 0.1,
    feature_names: ['user_log_1h'],
    metrics: {},
    canary: null,
    previous: null,
    aliases: {},
    refused: {},
    untold: [],
    trouble: null,
    ...given,
  }
}

export const canary = {
  model_version: '20261124T201500-aaaa',
  registered_version: '2',
  share: 0.1,
  since: '2026-11-24T20:15:00Z',
  until: '2026-11-24T20:15:10Z',
}
