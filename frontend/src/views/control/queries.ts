/** What the control room asks, how often, and under which names it is kept. */
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query'
import { body, controls, recommender } from '@/api/client'
import type { components } from '@/api/schema/console'
import { keyHeaders, useKey } from './key'

export type Config = components['schemas']['ConfigAnswer']

export const VITALS_EVERY_MS = 2_000
/** A trial lasts seconds: it is looked at often. */
const TRIAL_EVERY_MS = 1_000

/** The name of an answer of the console's, and what to ask for it with: in production it wants the key. */
function useAsConsole(name: string) {
  const { key, turn } = useKey()
  return { queryKey: ['control', name, ...(turn ? [turn] : [])], headers: keyHeaders(key) }
}

/** What the console says of itself: whether this key may administer, and where the other tools are. */
export function useConsole() {
  const { queryKey, headers } = useAsConsole('config')
  return useQuery({
    queryKey,
    queryFn: ({ signal }) => body(controls.GET('/config', { headers, signal })),
    refetchInterval: 15_000,
    placeholderData: keepPreviousData,
  })
}

export function useVitals() {
  const { queryKey, headers } = useAsConsole('vitals')
  return useQuery({
    queryKey,
    // The client's types make lists of the document's pairs.
    queryFn: async ({ signal }) =>
      (await body(
        controls.GET('/vitals', { headers, signal }),
      )) as unknown as components['schemas']['VitalsAnswer'],
    refetchInterval: VITALS_EVERY_MS,
    placeholderData: keepPreviousData,
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
  const { queryKey, headers } = useAsConsole('versions')
  return useQuery({
    queryKey,
    queryFn: ({ signal }) =>
      body(controls.GET('/models', { params: { query: { count: 20 } }, headers, signal })),
    refetchInterval: onTrial ? 3_000 : 10_000,
    placeholderData: keepPreviousData,
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
  const { queryKey, headers } = useAsConsole('drift')
  return useQuery({
    queryKey,
    queryFn: ({ signal }) =>
      body(controls.GET('/drift', { params: { query: { count: 12 } }, headers, signal })),
    refetchInterval: 30_000,
    placeholderData: keepPreviousData,
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
