import { memo, useMemo } from 'react'
import type { ItemCard, Recommendation } from '@/api/hooks'
import { SOURCES } from '@/parts/answers'
import { artworkUrl } from './artwork'
import classes from './Card.module.css'
import { ACT_ICONS, Star } from './Icons'
import type { EventType } from './journey'
import { type Move, moveInWords } from './moves'
import { byline, shortTitle } from './names'

/** What a person does to a card. `rating`: 1 to 5, of `rate` only. */
export type OnAct = (shown: Recommendation, type: EventType, rating?: number) => void

interface Props {
  shown: Recommendation
  /** What the console knows of it; absent while it is asked, or when it knows nothing. */
  item: ItemCard | undefined
  /** Nobody will say more of it for now. */
  faceless?: boolean
  /** What has been done to it already. */
  deed?: { types: ReadonlySet<EventType>; rating?: number }
  move?: Move
  onAct: OnAct
  onWhy?: (shown: Recommendation) => void
}

/** One item: its picture is the button that clicks it, beneath are the other acts. */
export const Card = memo(function Card({ shown, item, faceless, deed, move, onAct, onWhy }: Props) {
  const title = shown.title || item?.title || `Item ${shown.item_id}`
  const picture = useMemo(
    () => (item || faceless ? artworkUrl(shown.item_id, item?.categories ?? []) : null),
    [item, faceless, shown.item_id],
  )
  return (
    <article className={classes.card} data-flip={shown.item_id} data-item={shown.item_id} aria-label={title}>
      <div className={classes.top}>
        {/* It covers the words beneath too: they are no part of its name. */}
        <button
          type="button"
          className={classes.face}
          aria-label={`Click ${title}`}
          aria-pressed={deed?.types.has('click') ?? false}
          onClick={() => onAct(shown, 'click')}
        >
          {picture ? (
            <img src={picture} alt="" className={classes.picture} />
          ) : (
            <span className={classes.blank} />
          )}
        </button>
        {move && (
          <span className={classes.move} data-kind={move.kind}>
            {moveInWords(move)}
          </span>
        )}
        <div className={classes.text}>
          <span className={classes.title}>{shortTitle(title, item?.published)}</span>
          <span className={classes.byline}>{item ? byline(item.published, item.categories) : ' '}</span>
        </div>
      </div>
      <div className={classes.low}>
        <Stars title={title} rating={deed?.rating} onRate={(rating) => onAct(shown, 'rate', rating)} />
        <div className={classes.deeds}>
          <Deed
            label={`Add ${title} to the cart`}
            type="add_to_cart"
            done={deed?.types.has('add_to_cart')}
            act={() => onAct(shown, 'add_to_cart')}
          />
          <Deed
            label={`Buy ${title}`}
            type="purchase"
            done={deed?.types.has('purchase')}
            act={() => onAct(shown, 'purchase')}
          />
        </div>
        <span className={classes.source}>{SOURCES[shown.source] ?? shown.source}</span>
        {onWhy && (
          <button
            type="button"
            className={classes.why}
            onClick={() => onWhy(shown)}
            aria-label={`Why ${title}?`}
          >
            Why?
          </button>
        )}
      </div>
    </article>
  )
})

function Stars({
  title,
  rating = 0,
  onRate,
}: {
  title: string
  rating?: number
  onRate: (rating: number) => void
}) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset would need a legend that takes room
    <div className={classes.stars} role="group" aria-label={`Rate ${title}`}>
      {[1, 2, 3, 4, 5].map((stars) => (
        <button
          key={stars}
          type="button"
          className={classes.star}
          data-on={stars <= rating || undefined}
          aria-label={`Rate ${title} ${stars} of 5`}
          aria-pressed={stars === rating}
          onClick={() => onRate(stars)}
        >
          <Star filled={stars <= rating} />
        </button>
      ))}
    </div>
  )
}

function Deed({
  label,
  type,
  done = false,
  act,
}: {
  label: string
  type: EventType
  done?: boolean
  act: () => void
}) {
  return (
    <button
      type="button"
      className={classes.deed}
      aria-label={label}
      title={label}
      aria-pressed={done}
      onClick={act}
    >
      {ACT_ICONS[type]}
    </button>
  )
}
