import { Badge, Group, Text, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import { Flash } from './Flash'
import classes from './inspect.module.css'
import { type Inspected, streamedView, valuesOf } from './row'
import { ageOf, momentOf } from './words'

/** Who or what it is, and how fresh its row. */
export function Identity({ inspected, nowMs }: { inspected: Inspected; nowMs: number }) {
  const user = inspected.entity === 'user'
  const row = streamedView(inspected)
  const values = valuesOf(inspected, `${inspected.entity}_features`)
  const about = valuesOf(inspected, user ? 'user_profile' : 'item_catalog')
  const labels = (user ? about.segments : about.categories) as string[] | undefined
  const eventMs = row?.event_timestamp ? Date.parse(row.event_timestamp) : null
  const writtenMs = row?.written_at ? Date.parse(row.written_at) : null
  const expired = eventMs !== null && row?.ttl_s != null && nowMs - eventMs > row.ttl_s * 1_000
  const valued = Number(values.value_count ?? 0) > 0
  return (
    <section className={classes.card} aria-label="Identity">
      <Group justify="space-between" align="flex-start" gap="md">
        <div>
          <Text size="xs" c="dimmed" tt="uppercase" className={classes.kicker}>
            {inspected.entity} {!user && inspected.id}
          </Text>
          <Title order={1} size="h2">
            {user ? inspected.id : String(about.title || inspected.id)}
          </Title>
          <Group gap={6} mt={6}>
            {(labels ?? []).map((label) => (
              <Badge key={label} variant="light" color="gray" tt="none">
                {label.replace(':', ': ')}
              </Badge>
            ))}
            {user && !labels?.length && (
              <Text size="xs" c="dimmed">
                no profile: PUT /users/{inspected.id} gives one
              </Text>
            )}
            {expired && (
              <Badge color="orange" variant="light" tt="none">
                expired: counts as missing
              </Badge>
            )}
          </Group>
        </div>
        {!user && <Catalogue values={about} />}
      </Group>
      <dl className={classes.stats}>
        <Stat label="events, all time">
          <Flash value={values.event_count}>{Number(values.event_count ?? 0).toLocaleString()}</Flash>
        </Stat>
        <Stat label="newest event" note={eventMs === null ? undefined : momentOf(eventMs)}>
          {eventMs === null ? '–' : <Flash value={eventMs}>{ageOf(nowMs - eventMs)} ago</Flash>}
        </Stat>
        <Stat label="row written" note={writtenMs === null ? undefined : momentOf(writtenMs)}>
          {writtenMs === null ? (
            'not by the stream'
          ) : (
            <Flash value={writtenMs}>{ageOf(nowMs - writtenMs)} ago</Flash>
          )}
        </Stat>
        <Stat
          label="mean value"
          note={
            valued ? `of ${values.value_count} ${values.value_count === 1 ? 'value' : 'values'}` : undefined
          }
        >
          {valued ? <Flash value={values.mean_value}>{Number(values.mean_value).toFixed(3)}</Flash> : '–'}
        </Stat>
      </dl>
    </section>
  )
}

function Stat({ label, note, children }: { label: string; note?: string; children: ReactNode }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
      {note && <dd className={classes.note}>{note}</dd>}
    </div>
  )
}

function Catalogue({ values }: { values: Record<string, unknown> }) {
  const published = Number(values.published_us ?? 0)
  const price = Number(values.price ?? 0)
  const facts = [
    published !== 0 && `published ${new Date(published / 1_000).getUTCFullYear()}`,
    price > 0 && `price ${price}`,
    values.in_stock !== undefined && (values.in_stock === 0 ? 'out of stock' : 'in stock'),
  ].filter(Boolean)
  return (
    <Text size="sm" c="dimmed">
      {facts.length ? facts.join(' · ') : `not in the catalogue`}
    </Text>
  )
}
