import { UnstyledButton } from '@mantine/core'
import { StateMark } from '../StateMark'
import { paths, top } from './curves'
import type { Tile } from './tiles'
import classes from './vitals.module.css'

const WIDTH = 200
const HEIGHT = 36

interface Props {
  tile: Tile
  /** Moment of the curves' right edge, ms since the epoch. */
  until: number
  open: boolean
  onOpen: () => void
}

/** A vital sign; a click opens its large chart. */
export function VitalTile({ tile, until, open, onOpen }: Props) {
  return (
    <UnstyledButton
      className={classes.tile}
      data-state={tile.judgement.state}
      aria-expanded={open}
      aria-controls="vital-chart"
      onClick={onOpen}
    >
      <span className={classes.top}>
        <span className={classes.label}>{tile.label}</span>
        <StateMark state={tile.judgement.state} />
      </span>
      <span className={classes.figure}>
        <span className={classes.value}>{tile.value}</span> <span className={classes.unit}>{tile.unit}</span>
      </span>
      <span className={classes.beside}>{tile.beside ?? '\u00a0'}</span>
      <Sparkline tile={tile} until={until} />
      <span className={classes.why}>{tile.judgement.why}</span>
    </UnstyledButton>
  )
}

function Sparkline({ tile, until }: { tile: Tile; until: number }) {
  const curves = tile.lines.map((line) => line.curve)
  const highest = top(curves, tile.target?.value)
  const level = tile.target && HEIGHT * (1 - tile.target.value / highest)
  return (
    <svg
      viewBox={`0 -2 ${WIDTH} ${HEIGHT + 4}`}
      preserveAspectRatio="none"
      className={classes.spark}
      aria-hidden="true"
    >
      {level !== null && <line x1="0" x2={WIDTH} y1={level} y2={level} className={classes.target} />}
      {curves.map((curve, n) => (
        <path
          key={tile.lines[n]?.name}
          d={paths(curve, until, highest, WIDTH, HEIGHT).join('')}
          className={classes.curve}
          data-second={n > 0}
        />
      ))}
    </svg>
  )
}
