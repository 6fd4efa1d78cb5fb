import { type ReactNode, useRef } from 'react'
import classes from './inspect.module.css'

/** What lights up softly whenever the value that it shows has changed since the last look. */
export function Flash({ value, children }: { value: unknown; children: ReactNode }) {
  const seen = useRef({ text: JSON.stringify(value), changes: 0 })
  const text = JSON.stringify(value)
  if (text !== seen.current.text) seen.current = { text, changes: seen.current.changes + 1 }
  const { changes } = seen.current
  // A new key starts the animation anew.
  return (
    <span key={changes} className={changes > 0 ? classes.flash : undefined}>
      {children}
    </span>
  )
}
