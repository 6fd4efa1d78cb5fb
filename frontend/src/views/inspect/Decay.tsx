import { SegmentedControl, Stack, Text, VisuallyHidden } from '@mantine/core'
import { lazy, Suspense, useMemo, useState } from 'react'
import { Loading } from '@/parts/states'
import { countAt, curves, type Memory, SPANS, spanFor } from './decay'
import classes from './inspect.module.css'
import type { Inspected } from './row'
import { countText, momentOf, typeText } from './words'

const DecayChart = lazy(() => import('./DecayChart'))

interface Props {
  entity: Inspected['entity']
  type: string
  stored: Record<string, number>
  halfLivesS: Record<string, number>
  memory: Memory
  /** How many events the row remembers, of all types. */
  kept: number
  eventCount: number
  nowMs: number
}

/** How the counts of one event type came to be and will fade, as curves and as a table. */
export function Decay({ entity, type, stored, halfLivesS, memory, kept, eventCount, nowMs }: Props) {
  const [chosen, setChosen] = useState<string | null>(null)
  const span = SPANS.find(({ name }) => name === chosen) ?? spanFor(nowMs - memory.asOfMs)
  // The curves move on when a pixel's worth of time has passed, not every second.
  const pixelMs = Math.round((span.backMs + span.aheadMs) / 600)
  const drawnMs = Math.max(Math.floor(nowMs / pixelMs) * pixelMs, memory.asOfMs)
  // The row is read anew every second, mostly to find it unchanged.
  const content = JSON.stringify([stored, memory])
  // biome-ignore lint/correctness/useExhaustiveDependencies: `content` stands for stored and memory
  const points = useMemo(
    () => curves(stored, halfLivesS, memory, drawnMs - span.backMs, drawnMs + span.aheadMs),
    [content, halfLivesS, drawnMs, span],
  )
  const halfLives = Object.keys(halfLivesS)
  const empty = Object.values(stored).every((count) => count === 0)
  if (empty) {
    return (
      <Text c="dimmed" py="xl">
        No {typeText(type)} events yet: nothing to draw. Choose another event type in the table.
      </Text>
    )
  }
  return (
    <Stack gap="sm">
      <SegmentedControl
        size="xs"
        className={classes.spans}
        aria-label="Time shown"
        value={span.name}
        onChange={setChosen}
        data={SPANS.map(({ name }) => name)}
      />
      <Suspense fallback={<Loading label="Loading the chart" height={280} />}>
        <DecayChart
          points={points}
          halfLives={halfLives}
          span={span}
          nowMs={drawnMs}
          knownFromMs={memory.completeFromMs}
          label={`Decayed ${typeText(type)} counts over time; the table below holds the same in numbers.`}
        />
      </Suspense>
      <Text size="xs" c="dimmed">
        {coverage(entity, memory, kept, eventCount)} After now: what is left if nothing more happens.
      </Text>
      <details className={classes.details}>
        <summary>The same as a table</summary>
        <Outlook type={type} stored={stored} halfLivesS={halfLivesS} memory={memory} nowMs={drawnMs} />
      </details>
    </Stack>
  )
}

function coverage(entity: Inspected['entity'], memory: Memory, kept: number, eventCount: number): string {
  if (entity === 'item') {
    return `An item's row keeps counts and no events: before its newest event, ${momentOf(memory.asOfMs)}, the curve is not known.`
  }
  if (kept >= eventCount) return `Exact: the row keeps all ${eventCount} events.`
  return (
    `The row keeps the last ${kept} of ${eventCount} events. Back to ${momentOf(memory.completeFromMs)} the curve is exact: ` +
    'what older events had left then follows from the stored count, as long as it is not lost in its last digit. ' +
    'Before that they are cut off.'
  )
}

const HOUR = 3_600_000
const MOMENTS: [string, number | null][] = [
  ['at the newest event', null],
  ['a day ago', -24 * HOUR],
  ['an hour ago', -HOUR],
  ['now', 0],
  ['in an hour', HOUR],
  ['in a day', 24 * HOUR],
  ['in 7 days', 7 * 24 * HOUR],
  ['in 30 days', 30 * 24 * HOUR],
]

type OutlookProps = Pick<Props, 'type' | 'stored' | 'halfLivesS' | 'memory' | 'nowMs'>

function Outlook({ type, stored, halfLivesS, memory, nowMs }: OutlookProps) {
  return (
    <div className={classes.scroll}>
      <table className={classes.plain}>
        <VisuallyHidden component="caption">Decayed {typeText(type)} counts at some moments</VisuallyHidden>
        <thead>
          <tr>
            <th scope="col">when</th>
            {Object.keys(halfLivesS).map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {MOMENTS.map(([name, distance]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              {Object.entries(halfLivesS).map(([halfLife, seconds]) => {
                const at = distance === null ? memory.asOfMs : nowMs + distance
                const value = countAt(at, stored[halfLife] ?? 0, seconds, memory)
                return <td key={halfLife}>{value === null ? 'not known' : countText(value)}</td>
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
