import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { type Recommendation, useItems, usePopular, useRecommend, useSimilar } from '@/api/hooks'
import { useStoreAway } from '@/api/useStoreAway'
import { useAnnounce } from '@/parts/announce'
import { kindOf } from '@/parts/answers'
import { KindBadge } from '@/parts/Badges'
import { Fence } from '@/parts/Fence'
import { Failed } from '@/parts/states'
import type { OnAct } from './Card'
import { Journey } from './Journey'
import { deeds, type EventType } from './journey'
import { type Move, moves, movesInWords } from './moves'
import { Rail } from './Rail'
import { useActs } from './useActs'
import { useLastMet } from './useLastMet'
import classes from './watch.module.css'

const Why = lazy(() => import('./why/Why'))

const K = 12
/** How often a list that is less than it should be is asked again, in ms. */
const RETRY_MS = 2_000

/** What stands instead of a list that has none yet, when there is a reason for it. */
function trouble(query: {
  data?: unknown
  error: Error | null
  failureReason: Error | null
  refetch: () => unknown
}) {
  const error = query.error ?? query.failureReason
  return query.data === undefined && error ? (
    <Failed error={error} retry={() => query.refetch()} />
  ) : undefined
}

/** The lists of one user, and the journeys of this user's acts. */
export function Rails({ userId, made }: { userId: string; made: boolean }) {
  const mine = useRecommend(userId, K)
  const { journeys, act } = useActs(userId, K)
  const met = useLastMet(userId, journeys.length === 0 && typeof mine.data?.feature_age_ms === 'number')
  // Not before the list is here: what goes with the item shall not make the list wait.
  const acted = journeys.find(({ at }) => at.answered !== undefined)?.act
  const storeAway = useStoreAway()
  // While nobody can read a row, only an id that the page made up is surely one without.
  const known = (met.data?.known ?? false) || acted !== undefined || (storeAway && !made)
  const anchor = acted?.itemId ?? met.data?.itemId ?? null
  const similar = useSimilar(anchor, K)
  const rising = usePopular('trending', K)
  const fresh = usePopular('new', K)

  const lists = [mine.data, similar.data, rising.data, fresh.data]
  const shown = lists.flatMap((list) => list?.recommendations ?? [])
  const { items, failing } = useItems([...shown.map(({ item_id }) => item_id), ...(anchor ? [anchor] : [])])
  const done = useMemo(() => deeds(journeys), [journeys])
  const moved = useMoves(mine.data?.recommendations)
  const kind = mine.data && kindOf(mine.data.fallback, known)
  const why = useAsked()

  const { refetch } = mine
  const degraded = kind?.degraded ?? false
  useEffect(() => {
    if (!degraded) return
    const timer = setInterval(refetch, RETRY_MS)
    return () => clearInterval(timer)
  }, [degraded, refetch])

  const listId = mine.data?.recommendation_id
  const list = useRef(mine.data)
  list.current = mine.data
  const onAct: OnAct = useCallback(
    (item, type: EventType, value) => {
      // An act belongs to the list that showed the item; the other rails are no recommendations for somebody.
      const from = list.current?.recommendations.some(({ item_id }) => item_id === item.item_id)
      const recommendationId = from ? list.current?.recommendation_id : undefined
      void act({
        itemId: item.item_id,
        title: item.title ?? `Item ${item.item_id}`,
        type,
        value,
        recommendationId,
      })
    },
    [act],
  )

  const common = { items, faceless: failing, done, onAct, onWhy: why.ask }
  return (
    <div className={classes.columns}>
      <aside className={classes.side}>
        <Journey journeys={journeys} />
      </aside>
      <div className={classes.rails}>
        <Rail
          {...common}
          title="For you"
          badge={mine.data && <KindBadge fallback={mine.data.fallback} known={known} />}
          lead={kind ? `This list is ${kind.words}.` : 'Asking for your list'}
          shown={mine.data?.recommendations}
          moved={moved}
          layout="grid"
          empty="Everything that may be shown has been seen. Look as a new visitor."
          instead={trouble(mine)}
        />
        {anchor !== null && (
          <Rail
            {...common}
            title={`Because you watched ${items.get(anchor)?.title ?? acted?.title ?? `item ${anchor}`}`}
            lead="What people take who took it, and what is like it."
            shown={similar.data?.recommendations}
            layout="row"
            empty="Nothing is known to go with it yet."
            instead={trouble(similar)}
          />
        )}
        <Rail
          {...common}
          title="Rising now"
          lead="More sought in the last day than over the longer run."
          shown={rising.data?.recommendations}
          layout="row"
          empty="Nothing rises: no acts of late."
          instead={trouble(rising)}
        />
        <Rail
          {...common}
          title="New"
          lead="The newest of the catalogue."
          shown={fresh.data?.recommendations}
          layout="row"
          empty="The catalogue is empty: make load DATASET=dir fills it."
          instead={trouble(fresh)}
        />
      </div>
      <Fence>
        <Suspense fallback={null}>
          {why.asked && (
            <Why
              userId={userId}
              k={K}
              listId={listId ?? null}
              shown={why.asked}
              opened={why.opened}
              onClose={why.close}
            />
          )}
        </Suspense>
      </Fence>
    </div>
  )
}

/** Which card is asked about; closing gives the keyboard back to where the question came from. */
function useAsked() {
  const [asked, setAsked] = useState<Recommendation | null>(null)
  const [opened, setOpened] = useState(false)
  const from = useRef<Element>(null)
  const ask = useCallback((shown: Recommendation) => {
    from.current = document.activeElement
    setAsked(shown)
    setOpened(true)
  }, [])
  const close = useCallback(() => {
    setOpened(false)
    if (from.current instanceof HTMLElement) from.current.focus({ preventScroll: true })
  }, [])
  return { asked, opened, ask, close }
}

const STILL: ReadonlyMap<string, Move> = new Map()

/** What moved between the list before and this one; told once to those who listen. */
function useMoves(list: readonly Recommendation[] | undefined): ReadonlyMap<string, Move> {
  const announce = useAnnounce()
  const before = useRef<readonly string[]>([])
  const [moved, setMoved] = useState(STILL)
  useEffect(() => {
    if (!list) return
    const order = list.map(({ item_id }) => item_id)
    const was = before.current
    before.current = order
    if (was.join('\n') === order.join('\n')) return
    const told = moves(was, order)
    setMoved(told)
    if (was.length > 0) announce(movesInWords(told))
  }, [list, announce])
  return moved
}
