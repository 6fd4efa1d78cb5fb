import classes from './Contributions.module.css'
import { contributionsOf, signed } from './contributions'

/** What moved the score, as a table whose cells are bars: one thing for those who look and those who listen. */
export function Contributions({ moved }: { moved: Readonly<Record<string, number>> }) {
  return (
    <table className={classes.table}>
      <caption className="hidden-visually">
        How much each feature moved the score against an average candidate
      </caption>
      <thead className="hidden-visually">
        <tr>
          <th scope="col">Feature</th>
          <th scope="col">Moved the score by</th>
        </tr>
      </thead>
      <tbody>
        {contributionsOf(moved).map(({ feature, label, value, share }) => (
          <tr key={feature} className={classes.row}>
            <th scope="row" title={feature}>
              {label}
            </th>
            <td data-sign={value < 0 ? 'minus' : 'plus'}>
              <span className={classes.track} aria-hidden="true">
                <span
                  className={classes.bar}
                  style={{ width: `${50 * Math.abs(share)}%`, [value < 0 ? 'right' : 'left']: '50%' }}
                />
              </span>
              <span className={classes.value}>{signed(value)}</span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
