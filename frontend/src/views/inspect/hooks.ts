/** The rows that the inspector looks at, and the clock that it counts by. */
import { useQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { body, controls, every } from '@/api/client'
import type { Place } from './place'
import { type Inspected, streamedView } from './row'

const LOOK_EVERY_MS = 1_000

/** The rows of a place, looked at every second while the page is visible; also while there are none yet. */
export function useInspected({ kind, id }: Place) {
  return useQuery({
    queryKey: ['inspect', kind, id],
    queryFn: ({ signal }): Promise<Inspected> =>
      kind === 'user'
        ? body(controls.GET('/inspect/users/{user_id}', { params: { path: { user_id: id } }, signal }))
        : body(controls.GET('/inspect/items/{item_id}', { params: { path: { item_id: id } }, signal })),
    refetchInterval: ({ state }) => every((state.error ? 2 : 1) * LOOK_EVERY_MS)({ state }),
  })
}

/** How far the console's clock is ahead of ours, by the age that it gave its row. */
export function clockAheadMs(inspected: Inspected, receivedMs: number): number {
  const row = streamedView(inspected) ?? inspected.views[0]
  if (!row?.event_timestamp || !row.age_ms) return 0
  return Date.parse(row.event_timestamp) + row.age_ms - receivedMs
}

/** The time, told anew every so often; it stands still while nobody sees the page. */
export function useNow(everyMs: number): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const tick = () => document.visibilityState === 'hidden' || setNow(Date.now())
    const timer = setInterval(tick, everyMs)
    document.addEventListener('visibilitychange', tick)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', tick)
    }
  }, [everyMs])
  return now
}
