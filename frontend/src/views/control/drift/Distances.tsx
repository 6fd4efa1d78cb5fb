import { fixed } from '../numbers'
import { StateMark } from '../StateMark'
import classes from './drift.module.css'
import { type Bar, LONGEST } from './words'

/** Moments of the scale, in thresholds. */
const TICKS = Array.from({ length: LONGEST + 1 }, (_, n) => n)

const place = (times: number) => `${(100 * Math.min(times, LONGEST)) / LONGEST}%`

/** A bar a feature, in units of its own threshold: from the line on, it has drifted. */
export function Distances({ bars }: { bars: Bar[] }) {
  return (
    <table className={classes.table}>
      <caption className={classes.caption}>
        Distances in units of each feature’s own threshold: from the line on it has drifted. A distance is
        Wasserstein’s in standard deviations, the threshold what chance alone reaches in one of a hundred
        cases.
      </caption>
      <thead>
        <tr>
          <th scope="col">Feature</th>
          <th scope="col">
            <span className="hidden-visually">Distance in thresholds</span>
            <Axis />
          </th>
          <th scope="col" className={classes.number}>
            Of threshold
          </th>
        </tr>
      </thead>
      <tbody>
        {bars.map((bar) => (
          <Row key={bar.name} bar={bar} />
        ))}
      </tbody>
    </table>
  )
}

function Axis() {
  return (
    <span className={classes.axis} aria-hidden="true">
      {TICKS.map((tick) => (
        <span key={tick} style={{ left: place(tick) }}>
          {tick === 1 ? 'threshold' : tick && `${tick} ×`}
        </span>
      ))}
    </span>
  )
}

function Row({ bar: { name, times, distance, threshold, drifted, counts } }: { bar: Bar }) {
  return (
    <tr className={classes.row} data-drifted={(drifted && counts) || undefined}>
      <th scope="row">
        <span className={classes.name}>{name}</span>
        {!counts && (
          <>
            {' '}
            <span className={classes.aside}>not counted</span>
          </>
        )}
        {drifted && counts && (
          <>
            {' '}
            <StateMark state="watch" word="Drifted" />
          </>
        )}
      </th>
      <td>
        <span className={classes.track} aria-hidden="true">
          {times !== null && <span className={classes.bar} style={{ width: place(times) }} />}
          <span className={classes.line} style={{ left: place(1) }} />
        </span>
      </td>
      <td className={classes.number}>
        {times === null ? '–' : `${fixed(times, times < 10 ? 1 : 0)} ×`}
        <span className={classes.aside}>
          {' '}
          {distance !== null && threshold !== null && `${fixed(distance, 2)} / ${fixed(threshold, 2)}`}
        </span>
      </td>
    </tr>
  )
}
