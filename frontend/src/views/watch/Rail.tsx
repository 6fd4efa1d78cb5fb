import { type ReactNode, useId, useRef } from 'react'
import type { ItemCard, Recommendation } from '@/api/hooks'
import { Empty, Loading } from '@/parts/states'
import { Card, type OnAct } from './Card'
import type { deeds } from './journey'
import type { Move } from './moves'
import classes from './Rail.module.css'
import { useFlip, useKeptFocus } from './useFlip'

interface Props {
  title: ReactNode
  /** What the list is made from. */
  lead: ReactNode
  badge?: ReactNode
  /** Undefined while it is asked. */
  shown: readonly Recommendation[] | undefined
  items: ReadonlyMap<string, ItemCard>
  /** Nobody can tell more of the items now: those that are not known get the picture of their id alone. */
  faceless?: boolean
  done: ReturnType<typeof deeds>
  moved?: ReadonlyMap<string, Move>
  /** `grid` shows all at once, `row` in one line that scrolls. */
  layout: 'grid' | 'row'
  /** What to do about a list without items. */
  empty: string
  /** Stands in the place of the list, such as an error. */
  instead?: ReactNode
  onAct: OnAct
  onWhy?: (shown: Recommendation) => void
}

/** A list of cards with a heading; cards move to their new places when the order changes. */
export function Rail({
  title,
  lead,
  badge,
  shown,
  items,
  faceless,
  done,
  moved,
  layout,
  empty,
  instead,
  onAct,
  onWhy,
}: Props) {
  const id = useId()
  const list = useRef<HTMLUListElement>(null)
  const order = (shown ?? []).map(({ item_id }) => item_id).join('\n')
  useFlip(list, order)
  const focus = useKeptFocus(list, order)
  return (
    <section className={classes.rail} aria-labelledby={id}>
      <div className={classes.head}>
        <h2 id={id}>{title}</h2>
        {badge}
        <p>{lead}</p>
      </div>
      {instead ?? (
        <>
          {shown === undefined && <Placeholders layout={layout} />}
          {shown?.length === 0 && <Empty title="Nothing to show">{empty}</Empty>}
          {shown !== undefined && shown.length > 0 && (
            <ul ref={list} className={classes.list} data-layout={layout} {...focus}>
              {shown.map((each) => (
                <li key={each.item_id} className={classes.place}>
                  <Card
                    shown={each}
                    item={items.get(each.item_id)}
                    faceless={faceless}
                    deed={done.get(each.item_id)}
                    move={moved?.get(each.item_id)}
                    onAct={onAct}
                    onWhy={onWhy}
                  />
                </li>
              ))}
            </ul>
          )}
        </>
      )}
    </section>
  )
}

function Placeholders({ layout }: { layout: 'grid' | 'row' }) {
  return (
    <div className={classes.list} data-layout={layout}>
      {[1, 2, 3, 4].map((place) => (
        <div key={place} className={classes.place}>
          <Loading label="Loading the list" height={236} />
        </div>
      ))}
    </div>
  )
}
