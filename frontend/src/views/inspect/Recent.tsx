import { Button, Text } from '@mantine/core'
import { useState } from 'react'
import { useItems } from '@/api/hooks'
import { ItemName } from '@/parts/ItemName'
import classes from './inspect.module.css'
import type { RecentEvent } from './row'
import { ageOf, momentOf, typeText } from './words'

const AT_FIRST = 10

/** The last events of a user on a line of time, newest first. */
export function Recent({ events, nowMs }: { events: RecentEvent[]; nowMs: number }) {
  const [all, setAll] = useState(false)
  const { items } = useItems(events.map((event) => event.itemId))
  const newest = events[0]?.atMs
  if (!events.length) return <Text c="dimmed">No events yet.</Text>
  return (
    <>
      <ol className={classes.timeline} aria-label="Recent events, newest first">
        {/* Counted from the oldest, so that an event keeps its key when newer ones come. */}
        {(all ? events : events.slice(0, AT_FIRST)).map((event, n) => (
          <li
            // biome-ignore lint/suspicious/noArrayIndexKey: two events may be equal in all else
            key={`${event.atMs} ${event.itemId} ${event.type} ${events.length - n}`}
            data-type={event.type}
            data-newest={event.atMs === newest || undefined}
          >
            <span className={classes.eventWhat}>
              <span className={classes.eventType}>{typeText(event.type)}</span>
              {event.value !== 0 && <span className={classes.eventValue}>{event.value}</span>}
            </span>
            <span className={classes.eventItem}>
              <ItemName itemId={event.itemId} title={items.get(event.itemId)?.title} />
            </span>
            <time dateTime={new Date(event.atMs).toISOString()} title={momentOf(event.atMs)}>
              {ageOf(nowMs - event.atMs)} ago
            </time>
          </li>
        ))}
      </ol>
      {events.length > AT_FIRST && (
        <Button variant="subtle" size="xs" mt="xs" onClick={() => setAll(!all)}>
          {all ? 'Show fewer' : `Show all ${events.length}`}
        </Button>
      )}
    </>
  )
}
