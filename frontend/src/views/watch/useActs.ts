import { useQueryClient } from '@tanstack/react-query'
import { useCallback, useEffect, useReducer, useRef } from 'react'
import { ApiError, controls, ingest, recommender } from '@/api/client'
import { type RecommendAnswer, recommendOptions } from '@/api/hooks'
import { arrival } from './arrival'
import { type Act, outcomeOf, travelled } from './journey'
import { serverTiming } from './serverTiming'

/** Length of one wait for a row, of the pause after one that nobody answered, and of all together. */
const WAIT_MS = 3_000
const PAUSE_MS = 500
const PATIENCE_MS = 30_000

/** Send an act. Gives when the answer was here, and the log's share of that, in ms. Throws ApiError. */
async function send(act: Act, timestamp: string, began: number): Promise<{ at: number; logMs?: number }> {
  const { response } = await ingest.POST('/events', {
    body: {
      user_id: act.userId,
      item_id: act.itemId,
      event_type: act.type,
      timestamp,
      value: act.value ?? null,
      recommendation_id: act.recommendationId ?? null,
      session_id: null,
      properties: null,
    },
  })
  const { log } = serverTiming(response.headers.get('server-timing'))
  return { at: arrival(response.url, began), logMs: log }
}

/** Wait until the act is in the user's row, also while nobody can read it. Gives when; null: not within PATIENCE_MS. */
async function written(
  act: Act,
  timestamp: string,
  began: number,
  signal: AbortSignal,
): Promise<number | null> {
  const params = {
    path: { user_id: act.userId },
    query: { item_id: act.itemId, event_type: act.type, timestamp, wait_ms: WAIT_MS },
  }
  while (performance.now() - began < PATIENCE_MS) {
    try {
      const { data, response } = await controls.GET('/users/{user_id}/written', { params, signal })
      if (data?.written) return arrival(response.url, began)
    } catch (error) {
      if (!(error instanceof ApiError && error.passing)) throw error
      await new Promise((go) => setTimeout(go, PAUSE_MS))
      signal.throwIfAborted()
    }
  }
  return null
}

function summary(answer: RecommendAnswer | undefined) {
  return answer
    ? { fallback: answer.fallback, ids: answer.recommendations.map(({ item_id }) => item_id) }
    : null
}

/**
 * Acts of one user and their journeys.
 *
 * `act` shows the journey's first step at once, sends the act, waits for its row, asks for the list anew and puts that
 * into the cache of `useRecommend`. Of lists that overtake each other the one asked last stays.
 */
export function useActs(userId: string, k: number) {
  const queries = useQueryClient()
  const [journeys, happened] = useReducer(travelled, [])
  const gone = useRef<AbortController>(null)
  const ids = useRef(0)
  const shown = useRef(0)
  const asked = useRef(0)

  useEffect(() => {
    gone.current = new AbortController()
    return () => gone.current?.abort()
  }, [])

  const askAnew = useCallback(async () => {
    const { queryKey } = recommendOptions(userId, k)
    const turn = ++asked.current
    const began = performance.now()
    void queries.cancelQueries({ queryKey })
    const { data, response } = await recommender.GET('/recommend', {
      params: { query: { user_id: userId, k } },
    })
    const at = arrival(response.url, began)
    const answer = data as RecommendAnswer
    const outcome = outcomeOf(
      summary(queries.getQueryData(queryKey)),
      summary(answer) as NonNullable<ReturnType<typeof summary>>,
    )
    if (turn > shown.current) {
      shown.current = turn
      queries.setQueryData(queryKey, answer)
    }
    return { outcome, at }
  }, [queries, userId, k])

  const act = useCallback(
    async (wanted: Omit<Act, 'userId'>) => {
      const began = performance.now()
      const timestamp = new Date().toISOString()
      const id = ++ids.current
      const full = { ...wanted, userId }
      happened({ type: 'begun', id, act: full })

      const waiting = new AbortController()
      const signal = AbortSignal.any([waiting.signal, (gone.current as AbortController).signal])
      const row = written(full, timestamp, began, signal).then((at) => {
        if (at !== null) happened({ type: 'written', id, at: at - began })
        return at
      })
      row.catch(() => {})
      let inLog = false
      try {
        const taken = await send(full, timestamp, began)
        inLog = true
        happened({ type: 'taken', id, at: taken.at - began, logMs: taken.logMs })
        if ((await row) === null) throw new Error('The row was not written in time')
        const { outcome, at } = await askAnew()
        happened({ type: 'answered', id, at: at - began, outcome })
      } catch (error) {
        waiting.abort()
        if (gone.current?.signal.aborted) return
        happened({ type: 'failed', id, words: wordsFor(error, inLog) })
      }
    },
    [userId, askAnew],
  )

  return { journeys, act }
}

/** Why an act came no further, and what becomes of it. */
function wordsFor(error: unknown, inLog: boolean): string {
  const words = error instanceof Error ? error.message : String(error)
  if (inLog) return `${words}. The act is in the log and will count.`
  return error instanceof ApiError && error.passing ? `${words}. Act again when it is back.` : words
}
