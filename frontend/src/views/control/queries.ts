/** What the control room asks, how often, and under which names it is kept. */
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query'
import { body, controls, every, recommender } from '@/api/client'
import { configOptions, vitalsOptions } from '@/api/hooks'
import { useKey } from '@/api/key'
import type { components } from '@/api/schema/console'

export type Config = components['schemas']['ConfigAnswer']

export const VITALS_EVERY_MS = 2_000
/** A trial lasts seconds: it is looked at often. */
const TRIAL_EVERY_MS = 1_000

/** The name of an answer that is another one with another key. */
function useName(name: string) {
  return ['control', name, useKey().turn]
}

/** What the console says of itself: whether this key may administer, and where the other tools are. */
export function useConsole() {
  return useQuery({
    ...configOptions(useKey().turn),
    refetchInterval: 15_000,
    placeholderData: keepPreviousData,
  })
}

export function useVitals() {
  return useQuery({
    ...vitalsOptions(useKey().turn),
    refetchInterval: every(VITALS_EVERY_MS),
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
  const queryKey = useName('versions')
  return useQuery({
    queryKey,
    queryFn: ({ signal }) => body(controls.GET('/models', { params: { query: { count: 20 } }, signal })),
    refetchInterval: every(onTrial ? 3_000 : 10_000),
    placeholderData: keepPreviousData,
  })
}

export function useExperiments() {
  return useQuery({
    queryKey: ['control', 'experiments'],
    queryFn: ({ signal }) => body(recommender.GET('/experiments', { signal })),
    refetchInterval: every(5_000),
  })
}

export function useDrift() {
  const queryKey = useName('drift')
  return useQuery({
    queryKey,
    queryFn: ({ signal }) => body(controls.GET('/drift', { params: { query: { count: 12 } }, signal })),
    refetchInterval: every(30_000),
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
