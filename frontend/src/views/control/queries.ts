/** What the control room asks, how often, and under which names it is kept. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { body, controls, recommender } from '@/api/client'
import type { components } from '@/api/schema/console'

export const VITALS_EVERY_MS = 2_000
/** A trial lasts seconds: it is looked at often. */
const TRIAL_EVERY_MS = 1_000

export function useVitals() {
  return useQuery({
    queryKey: ['control', 'vitals'],
    // The client's types make lists of the document's pairs.
    queryFn: async ({ signal }) =>
      (await body(controls.GET('/vitals', { signal }))) as unknown as components['schemas']['VitalsAnswer'],
    refetchInterval: VITALS_EVERY_MS,
  })
}

export function useServed() {
  return useQuery({
    queryKey: ['control', 'model'],
    queryFn: ({ signal }) => body(recommender.GET('/model', { signal })),
    refetchInterval: ({ state }) => (state.data?.canary ? TRIAL_EVERY_MS : 3_000),
  })
}

/** The registry's versions; looked at more often while one is on trial. */
export function useVersions(onTrial: boolean) {
  return useQuery({
    queryKey: ['control', 'versions'],
    queryFn: ({ signal }) => body(controls.GET('/models', { params: { query: { count: 20 } }, signal })),
    refetchInterval: onTrial ? 3_000 : 10_000,
  })
}

export function useExperiments() {
  return useQuery({
    queryKey: ['control', 'experiments'],
    queryFn: ({ signal }) => body(recommender.GET('/experiments', { signal })),
    refetchInterval: 5_000,
  })
}

export function useDrift() {
  return useQuery({
    queryKey: ['control', 'drift'],
    queryFn: ({ signal }) => body(controls.GET('/drift', { params: { query: { count: 12 } }, signal })),
    refetchInterval: 30_000,
  })
}

/** Asks for the model and its history again, now. */
export function useModelAgain() {
  const queries = useQueryClient()
  return () =>
    Promise.all(
      ['model', 'versions'].map((name) => queries.invalidateQueries({ queryKey: ['control', name] })),
    )
}
