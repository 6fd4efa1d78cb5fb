import type { ReactNode } from 'react'
import classes from './playground.module.css'

const OPEN_DEPTH = 2

/** A value as JSON; objects and arrays fold. */
export function Json({ value, name, depth = 0 }: { value: unknown; name?: string; depth?: number }) {
  const label = name === undefined ? null : <span className={classes.key}>{name}: </span>
  if (value === null || typeof value !== 'object') {
    return (
      <div>
        {label}
        <span className={classes.leaf} data-kind={value === null ? 'null' : typeof value}>
          {JSON.stringify(value)}
        </span>
      </div>
    )
  }
  const entries = Object.entries(value)
  const [begin, end] = Array.isArray(value) ? '[]' : '{}'
  if (!entries.length) {
    return (
      <div>
        {label}
        {begin}
        {end}
      </div>
    )
  }
  const parts: ReactNode = entries.map(([key, part]) => (
    <Json key={key} value={part} name={Array.isArray(value) ? undefined : key} depth={depth + 1} />
  ))
  return (
    <details open={depth < OPEN_DEPTH} className={classes.fold}>
      <summary>
        {label}
        {begin}
        <span className={classes.size}>{entries.length}</span>
        {end}
      </summary>
      <div className={classes.inner}>{parts}</div>
    </details>
  )
}
