import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState, useSyncExternalStore } from 'react'
import { connection } from '@/api/connection'
import { usePulse, useUp } from '@/api/hooks'
import { useAnnounce } from '@/parts/announce'
import classes from './ConnectionBanner.module.css'
import { troubles } from './trouble'

const WELCOME_MS = 4_000

/** Says what is away, that it is tried again, and that it is back. What the views show is asked anew then. */
export function ConnectionBanner() {
  const queries = useQueryClient()
  const announce = useAnnounce()
  const away = useSyncExternalStore(connection.subscribe, connection.current)
  const up = useUp()
  usePulse()
  const found = troubles(
    away.map(({ part }) => part),
    up,
  )
  const words = found.map(({ title }) => title).join('; ')
  const before = useRef('')
  const [back, setBack] = useState(false)

  useEffect(() => connection.onRecovery(() => void queries.invalidateQueries()), [queries])
  useEffect(() => {
    const was = before.current
    before.current = words
    if (was === words) return
    announce(words ? `${words}. The page keeps trying.` : 'Everything is back.')
    // A list that was made without the store is not what it would be with it, and the other way round.
    void queries.invalidateQueries({ queryKey: ['recommend'] })
    setBack(words === '')
    if (words !== '') return
    const timer = setTimeout(() => setBack(false), WELCOME_MS)
    return () => clearTimeout(timer)
  }, [words, announce, queries])

  if (found.length > 0)
    return (
      <div className={classes.banner} data-kind="away">
        <span className={classes.pulse} aria-hidden="true" />
        <div>
          {found.map(({ title, words }) => (
            <p key={title}>
              <strong>{title}.</strong> {words}
            </p>
          ))}
        </div>
        <span className={classes.trying}>Trying again by itself</span>
      </div>
    )
  if (back)
    return (
      <div className={classes.banner} data-kind="back">
        <p>
          <strong>Everything is back.</strong> The page is up to date again.
        </p>
      </div>
    )
  return null
}
