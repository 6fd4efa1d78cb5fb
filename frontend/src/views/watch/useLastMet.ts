import { useQuery } from '@tanstack/react-query'
import { ApiError, body, recommender } from '@/api/client'

export interface Met {
  /** Whether the user has acted before. */
  known: boolean
  /** The item of the newest event. */
  itemId: string | null
}

/** What a user's row says of earlier acts: the item of the newest one, whatever order the lists are in. */
export function lastMet(features: Record<string, unknown>): Met {
  const items = features.recent_items as string[] | undefined
  const times = features.recent_us as number[] | undefined
  const known = Number(features.event_count ?? 0) > 0
  if (!items?.length || !times?.length) return { known, itemId: null }
  const newest = times.reduce((best, time, at) => (time >= (times[best] as number) ? at : best), 0)
  return { known, itemId: items[newest] ?? null }
}

/**
 * Whether a user is known, and what was met last, at the time of the first look; later acts are the page's own.
 *
 * @param hasActed whether an answer said that there are features at all: a row that is not there is not asked for.
 */
export function useLastMet(userId: string, hasActed: boolean) {
  return useQuery({
    queryKey: ['met', userId],
    queryFn: async ({ signal }): Promise<Met> => {
      try {
        const row = await body(
          recommender.GET('/users/{user_id}/features', { params: { path: { user_id: userId } }, signal }),
        )
        return lastMet(row.features)
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        if (error.status === 404) return { known: false, itemId: null }
        // What somebody did is for the administrator; that there was something the answer itself has said.
        if (error.forbidden) return { known: true, itemId: null }
        throw error
      }
    },
    enabled: hasActed,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  })
}
