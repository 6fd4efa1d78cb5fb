/** Questions to the services that more than one view asks. Times are in ms. */
import { keepPreviousData, queryOptions, useQueries, useQuery } from '@tanstack/react-query'
import { useEffect, useMemo, useState } from 'react'
import { body, controls, every, recommender } from './client'
import { useKey } from './key'
import type { components as Console } from './schema/console'
import type { components as Recommender } from './schema/recommender'

export type ItemCard = Console['schemas']['ItemCard']
export type Recommendation = Recommender['schemas']['Recommendation']
export type RecommendAnswer = Recommender['schemas']['RecommendAnswer']
type Vitals = Console['schemas']['VitalsAnswer']['current']
export type Fallback = NonNullable<RecommendAnswer['fallback']>

/** How often the page looks whether all are there, in ms. */
const PULSE_MS = 4_000
/** Most items that one request to the console may name. */
const ITEMS_AT_ONCE = 200

/** `GET /recommend` for a user; the key begins with `recommend`, user id. */
export function recommendOptions(userId: string, k = 12) {
  return queryOptions({
    queryKey: ['recommend', userId, { k }],
    queryFn: ({ signal }) =>
      body(recommender.GET('/recommend', { params: { query: { user_id: userId, k } }, signal })),
  })
}

/** The user's list. Asks anew only when it is told to, so that a list does not move by itself. */
export function useRecommend(userId: string, k = 12) {
  return useQuery({ ...recommendOptions(userId, k), staleTime: Number.POSITIVE_INFINITY })
}

/** What many like: of all times and now, rising, or new in the catalogue. */
export function usePopular(order: 'popular' | 'trending' | 'new' = 'popular', k = 12) {
  return useQuery({
    queryKey: ['popular', order, k],
    queryFn: ({ signal }) => body(recommender.GET('/popular', { params: { query: { k, order } }, signal })),
    staleTime: 30_000,
    placeholderData: keepPreviousData,
  })
}

/** What goes with an item; asks nothing while it is null. */
export function useSimilar(itemId: string | null, k = 12) {
  return useQuery({
    queryKey: ['similar', itemId, k],
    queryFn: ({ signal }) =>
      body(
        recommender.GET('/items/{item_id}/similar', {
          params: { path: { item_id: itemId as string }, query: { k } },
          signal,
        }),
      ),
    enabled: itemId !== null,
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  })
}

/**
 * What cards show of these items, by id; those that nobody knows are left out. What was known once stays known, so that
 * cards keep their faces while nobody can say anew. `failing`: nobody can now.
 */
export function useItems(ids: readonly string[]) {
  const batches: string[][] = []
  const distinct = [...new Set(ids)].sort()
  for (let at = 0; at < distinct.length; at += ITEMS_AT_ONCE)
    batches.push(distinct.slice(at, at + ITEMS_AT_ONCE))
  const answers = useQueries({
    queries: batches.map((batch) => ({
      queryKey: ['items', batch],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        body(controls.GET('/items', { params: { query: { ids: batch.join(',') } }, signal })),
      staleTime: 60_000,
    })),
    combine: (all) => ({
      cards: all.flatMap(({ data }) => data?.items ?? []),
      pending: all.some(({ isPending }) => isPending),
      failing: all.some(({ failureReason }) => failureReason !== null),
    }),
  })
  const [known, setKnown] = useState<ReadonlyMap<string, ItemCard>>(new Map())
  const { cards } = answers
  useEffect(() => {
    if (cards.length)
      setKnown((before) => new Map([...before, ...cards.map((card) => [card.item_id, card] as const)]))
  }, [cards])
  return { items: known, pending: answers.pending, failing: answers.failing }
}

/** Real users to look through the eyes of. */
export function useUsers(count = 24) {
  return useQuery({
    queryKey: ['users', count],
    queryFn: ({ signal }) => body(controls.GET('/users', { params: { query: { count } }, signal })),
    staleTime: 5 * 60_000,
  })
}

/** How the system is set up, as whoever has this key gets it; `turn` stands for the key. */
export function configOptions(turn: number) {
  return queryOptions({
    queryKey: ['control', 'config', turn],
    queryFn: ({ signal }) => body(controls.GET('/config', { signal })),
  })
}

/** How the system is and was, as whoever has this key gets it; `turn` stands for the key. */
export function vitalsOptions(turn: number) {
  return queryOptions({
    queryKey: ['control', 'vitals', turn],
    // The client's types make lists of the document's pairs.
    queryFn: async ({ signal }) =>
      (await body(controls.GET('/vitals', { signal }))) as unknown as Console['schemas']['VitalsAnswer'],
  })
}

/** How the system is set up. */
export function useConfig() {
  return useQuery({ ...configOptions(useKey().turn), staleTime: 10_000 })
}

/** The release that is served. */
export function useModel() {
  return useQuery({
    queryKey: ['model'],
    queryFn: ({ signal }) => body(recommender.GET('/model', { signal })),
    staleTime: 5_000,
  })
}

const NOTHING: Readonly<Record<string, boolean>> = {}

/** Services (`ingest`, `recommender`, `stream`) and what they stand on (`redis`, `kafka`, ...): true while up. */
export function useUp(): Readonly<Record<string, boolean>> {
  const { data } = useQuery({ ...vitalsOptions(useKey().turn), refetchInterval: every(PULSE_MS) })
  return useMemo(() => (data ? upOf(data.current) : NOTHING), [data])
}

function upOf({ dependencies, targets }: Pick<Vitals, 'dependencies' | 'targets'>) {
  const services = Object.entries(targets).map(([name, { up }]) => [name, up] as const)
  return { ...dependencies, ...Object.fromEntries(services) }
}

/** A read of the feature store now and then: nobody else asks for anything while the person only looks. */
export function usePulse() {
  useQuery({
    queryKey: ['pulse'],
    // Any id will do: what counts is that somebody answers.
    queryFn: ({ signal }) => body(controls.GET('/items', { params: { query: { ids: '-' } }, signal })),
    refetchInterval: PULSE_MS,
    retry: false,
  })
}
