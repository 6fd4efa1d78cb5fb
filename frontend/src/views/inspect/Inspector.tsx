import { Anchor, Group, Stack } from '@mantine/core'
import { useState } from 'react'
import { Link } from 'wouter'
import { useRecommenderAddress } from '@/api/addresses'
import { ApiError } from '@/api/client'
import { useConfig } from '@/api/hooks'
import { Command } from '@/parts/Command'
import { Panel } from '@/parts/Panel'
import { quoted } from '@/parts/shell'
import { Empty, Failed, Loading } from '@/parts/states'
import { Counts } from './Counts'
import { Decay } from './Decay'
import { Finder } from './Finder'
import { clockAheadMs, useInspected, useNow } from './hooks'
import { Identity } from './Identity'
import classes from './inspect.module.css'
import { Missing } from './Missing'
import { apiPathOf, type Place } from './place'
import { Recent } from './Recent'
import { busiestType, countsOf, type Inspected, memoryOf, recentOf, valuesOf } from './row'
import { Sdk } from './Sdk'

/** One entity's row, live. */
export function Inspector({ place }: { place: Place }) {
  const look = useInspected(place)
  const missing = look.error instanceof ApiError && look.error.status === 404
  return (
    <Stack gap="lg">
      <Group justify="space-between" gap="sm">
        <Group gap="md">
          <Anchor component={Link} href="/inspect" size="sm">
            ← Inspector
          </Anchor>
          <Live ok={!look.failureReason && !look.error} waiting={missing} />
        </Group>
        <Finder kind={place.kind} key={place.kind} />
      </Group>
      {missing ? (
        <Missing place={place} ingestBase={`${window.location.origin}/api/ingest`} />
      ) : look.data ? (
        <Row place={place} inspected={look.data} aheadMs={clockAheadMs(look.data, look.dataUpdatedAt)} />
      ) : (
        <Waiting error={look.failureReason} onRetry={() => look.refetch()} />
      )}
    </Stack>
  )
}

function Live({ ok, waiting }: { ok: boolean; waiting: boolean }) {
  return (
    <span className={classes.live} data-ok={ok || waiting || undefined}>
      {ok ? 'live, every second' : waiting ? 'looking every second' : 'no answer, trying again'}
    </span>
  )
}

function Waiting({ error, onRetry }: { error: Error | null; onRetry: () => void }) {
  return error ? (
    <Failed error={error} retry={onRetry} />
  ) : (
    <Loading label="Loading the row" height={220} rows={2} />
  )
}

function Row({ place, inspected, aheadMs }: { place: Place; inspected: Inspected; aheadMs: number }) {
  const nowMs = useNow(250) + aheadMs
  const base = useRecommenderAddress()
  return (
    <>
      <Identity inspected={inspected} nowMs={nowMs} />
      <Streamed inspected={inspected} nowMs={nowMs} />
      <Panel title="The same row by Feast’s SDK">
        <Sdk inspected={inspected} />
      </Panel>
      <Panel title="The plain API">
        <Command
          text={`curl -sS ${quoted(`${base}${apiPathOf(place)}`)}`}
          label="Command that reads this row"
        />
      </Panel>
    </>
  )
}

function Streamed({ inspected, nowMs }: { inspected: Inspected; nowMs: number }) {
  const [picked, setPicked] = useState<string | null>(null)
  const config = useConfig().data
  const values = valuesOf(inspected, `${inspected.entity}_features`)
  if (!config) return <Loading label="Loading the settings" height={320} />
  if (!Object.keys(values).length) {
    return <Empty title="No events yet">There is nothing to count until the first one.</Empty>
  }
  const counts = countsOf(values, config.event_types, Object.keys(config.half_lives_s))
  const recent = recentOf(values)
  const type = picked ?? busiestType(counts) ?? ''
  const memory = memoryOf(values, recent, type)
  return (
    <>
      <Panel title="Decayed counts">
        <div className={classes.split}>
          <Counts
            counts={counts}
            halfLivesS={config.half_lives_s}
            asOfMs={memory.asOfMs}
            nowMs={nowMs}
            chosen={type}
            onChoose={setPicked}
          />
          <Decay
            entity={inspected.entity}
            type={type}
            stored={counts[type] ?? {}}
            halfLivesS={config.half_lives_s}
            memory={memory}
            kept={recent.length}
            eventCount={Number(values.event_count ?? 0)}
            nowMs={nowMs}
          />
        </div>
      </Panel>
      {inspected.entity === 'user' && (
        <Panel title="Recent events">
          <Recent events={recent} nowMs={nowMs} />
        </Panel>
      )}
    </>
  )
}
