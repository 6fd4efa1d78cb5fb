/** The settings in the address, and the answers that they get. */
import { useDebouncedValue } from '@mantine/hooks'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useCallback } from 'react'
import { useLocation, useSearch } from 'wouter'
import { ApiError, body, recommender } from '@/api/client'
import type { RecommendAnswer } from '@/api/hooks'
import type { operations } from '@/api/schema/recommender'
import { type FieldErrors, fieldErrorsOf, type Request, requestOf, Unsendable } from './request'
import { type Both, queryOf, type Setting, settingsOf } from './settings'

const TYPING_MS = 300

/** Both settings; a change goes into the address, in place of the one before. */
export function useSettings(): [Both, (both: Both) => void] {
  const [path, go] = useLocation()
  const query = useSearch()
  const change = useCallback(
    (both: Both) => {
      const changed = queryOf(both)
      go(changed ? `${path}?${changed}` : path, { replace: true })
    },
    [path, go],
  )
  return [settingsOf(query), change]
}

/** What became of a setting. */
export interface Asked {
  request: Request | null
  /** The last answer; of the setting before while `stale`. */
  answer: RecommendAnswer | undefined
  stale: boolean
  waiting: boolean
  /** What is wrong, by field. */
  fields: FieldErrors
  /** What is wrong and stands at no field. */
  failure: Error | null
  again: () => void
}

/** Asks the recommender as soon as typing pauses. */
export function useAsked(setting: Setting): Asked {
  const [settled] = useDebouncedValue(JSON.stringify(setting), TYPING_MS)
  const { request, unsendable } = prepared(JSON.parse(settled) as Setting)
  const query = useQuery({
    queryKey: ['playground', request],
    queryFn: ({ signal }) => ask(request as Request, signal),
    enabled: request !== null,
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: keepPreviousData,
  })
  const fields = unsendable
    ? { [unsendable.field]: unsendable.message }
    : query.error instanceof ApiError
      ? fieldErrorsOf(query.error.details)
      : {}
  const failure = query.error ?? query.failureReason
  return {
    request,
    answer: request ? query.data : undefined,
    stale: query.isPlaceholderData || query.isError || unsendable !== null,
    waiting: query.isFetching || settled !== JSON.stringify(setting),
    fields,
    failure: Object.keys(fields).length ? null : failure,
    again: query.refetch,
  }
}

function prepared(setting: Setting): { request: Request | null; unsendable: Unsendable | null } {
  try {
    return { request: requestOf(setting), unsendable: null }
  } catch (error) {
    if (error instanceof Unsendable) return { request: null, unsendable: error }
    throw error
  }
}

type Query = operations['recommend_recommend_get']['parameters']['query']
type Body = operations['recommend_body_recommend_post']['requestBody']['content']['application/json']

// Values go as typed, right or wrong: the service's own words about them are what the form shows.
function ask(request: Request, signal: AbortSignal): Promise<RecommendAnswer> {
  if (request.method === 'POST')
    return body(recommender.POST('/recommend', { body: request.body as Body, signal }))
  const query = Object.fromEntries(request.query) as unknown as Query
  return body(recommender.GET('/recommend', { params: { query }, signal }))
}
