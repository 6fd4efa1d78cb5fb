import classes from './playground.module.css'

const ROW = 52
const WIDTH = 80

interface Props {
  /** Places of the items that both lists hold: on the left, on the right. */
  pairs: [number, number][]
  rows: number
  /** The pair to show strongly, by its place on the left. */
  strong: number | null
}

/** Lines from where an item stands in one list to where in the other; the lists say the same in words. */
export function Links({ pairs, rows, strong }: Props) {
  const height = rows * ROW
  return (
    <svg
      className={classes.links}
      viewBox={`0 0 ${WIDTH} ${height}`}
      width={WIDTH}
      height={height}
      aria-hidden
    >
      {pairs.map(([left, right]) => {
        const from = (left + 0.5) * ROW
        const to = (right + 0.5) * ROW
        return (
          <path
            key={left}
            d={`M0 ${from} C${WIDTH / 2} ${from} ${WIDTH / 2} ${to} ${WIDTH} ${to}`}
            data-way={left === right ? 'same' : left > right ? 'up' : 'down'}
            data-strong={strong === left || undefined}
          />
        )
      })}
    </svg>
  )
}
