import { useQuery } from '@tanstack/react-query'
import { body, recommender } from '@/api/client'
import type { RecommendAnswer, Recommendation } from '@/api/hooks'

export interface Explained {
  item: Recommendation
  answer: RecommendAnswer
  /** Whether the item stands in the list itself; else it was ranked on its own, for this user. */
  listed: boolean
}

/**
 * Why the user would get an item: from the list with reasons, asked once for all its cards, or, for an item of another
 * rail, from ranking that item alone.
 *
 * @param listId the list that is shown; another one is another question.
 */
export function useWhy(userId: string, itemId: string, k: number, listId: string | null) {
  return useQuery({
    queryKey: ['why', userId, listId, itemId],
    queryFn: async ({ client, signal }): Promise<Explained> => {
      const list = await client.fetchQuery({
        queryKey: ['why', userId, listId],
        queryFn: () =>
          body(recommender.GET('/recommend', { params: { query: { user_id: userId, k, explain: true } } })),
        staleTime: 60_000,
      })
      const there = list.recommendations.find(({ item_id }) => item_id === itemId)
      if (there) return { item: there, answer: list, listed: true }
      const alone = await body(
        recommender.POST('/recommend', {
          body: { user_id: userId, items: [itemId], k: 1, explain: true } as never,
          signal,
        }),
      )
      const [item] = alone.recommendations
      if (!item) throw new Error('the recommender does not know this item')
      return { item, answer: alone, listed: false }
    },
    staleTime: 60_000,
  })
}
