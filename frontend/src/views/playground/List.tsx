import { Text } from '@mantine/core'
import type { Recommendation } from '@/api/hooks'
import { SOURCES } from '@/parts/answers'
import { ItemName } from '@/parts/ItemName'
import { Loading } from '@/parts/states'
import type { Move } from './difference'
import classes from './playground.module.css'

interface Props {
  name: string
  other: string
  items: Recommendation[]
  /** How each item stands against the other list; null: there is none. */
  moves: Move[] | null
  stale: boolean
  pointed: string | null
  onPoint: (itemId: string | null) => void
}

/** One answer as a list; every row is of one height, so that lines between two lists meet their rows. */
export function List({ name, other, items, moves, stale, pointed, onPoint }: Props) {
  return (
    <ol className={classes.list} aria-label={`List ${name}`} data-stale={stale || undefined}>
      {items.map((item, place) => (
        <li
          key={item.item_id}
          data-pointed={pointed === item.item_id || undefined}
          onPointerEnter={() => onPoint(item.item_id)}
          onPointerLeave={() => onPoint(null)}
          onFocus={() => onPoint(item.item_id)}
          onBlur={() => onPoint(null)}
        >
          <span className={classes.place}>{place + 1}</span>
          <span className={classes.what}>
            <span className={classes.title}>
              <ItemName itemId={item.item_id} title={item.title} />
            </span>
            <span className={classes.why} title={item.reasons?.join('; ')}>
              {item.reasons?.join('; ') || (SOURCES[item.source] ?? item.source)}
            </span>
          </span>
          <span className={classes.score}>{item.score.toFixed(3)}</span>
          <span className={classes.move}>
            {moves && <MoveMark move={moves[place]} name={name} other={other} />}
          </span>
        </li>
      ))}
    </ol>
  )
}

function MoveMark({ move, name, other }: { move: Move | undefined; name: string; other: string }) {
  if (!move) return null
  if (move.kind === 'same') {
    return (
      <span role="img" aria-label={`same place in ${other}`} className={classes.same}>
        =
      </span>
    )
  }
  if (move.kind === 'only') return <span className={classes.only}>only {name}</span>
  const up = move.by > 0
  const places = Math.abs(move.by)
  return (
    <span
      role="img"
      aria-label={`${places} ${up ? 'higher' : 'lower'} than in ${other}`}
      className={up ? classes.up : classes.down}
    >
      {up ? '↑' : '↓'}
      {places}
    </span>
  )
}

/** Instead of a list while there is none. */
export function NoList({ waiting, children }: { waiting: boolean; children: string }) {
  if (waiting) return <Loading label="Loading the list" height={44} rows={5} />
  return (
    <Text c="dimmed" py="lg">
      {children}
    </Text>
  )
}
