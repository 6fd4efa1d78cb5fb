import { useEffect, useState } from 'react'
import { agoInWords, changesWithin, formatMs } from './time'

/** How long ago a moment was, kept true while it is looked at. `at`: ISO or ms since the epoch; null: never. */
export function Ago({ at, never = 'never' }: { at: string | number | null | undefined; never?: string }) {
  const then = at === null || at === undefined ? null : typeof at === 'number' ? at : Date.parse(at)
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    if (then === null) return
    const timer = setTimeout(() => setNow(Date.now()), changesWithin(now - then))
    return () => clearTimeout(timer)
  }, [then, now])
  if (then === null) return <span>{never}</span>
  const moment = new Date(then)
  return (
    <time className="tabular" dateTime={moment.toISOString()} title={moment.toLocaleString()}>
      {agoInWords(then, now)}
    </time>
  )
}

/** A duration in ms. */
export function Ms({ value }: { value: number | null | undefined }) {
  return <span className="tabular">{formatMs(value)}</span>
}
