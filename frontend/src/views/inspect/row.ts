/** The parts of an entity's rows, as the inspector shows them. */
import type { components } from '@/api/schema/console'
import type { Memory } from './decay'

type Schemas = components['schemas']
export type Inspected = Schemas['InspectAnswer']
export type ViewRow = Schemas['ViewRow']
export type FeaturePair = Schemas['FeaturePair']

/** A thing that the user did, as the row keeps it. */
export interface RecentEvent {
  itemId: string
  type: string
  atMs: number
  /** 0 where the event had none. */
  value: number
}

/** The values of a view by name; empty without a row. */
export function valuesOf(inspected: Inspected, view: string): Record<string, unknown> {
  const row = inspected.views.find((one) => one.view === view)
  return Object.fromEntries((row?.features ?? []).map(({ name, online }) => [name, online]))
}

/** The view that holds the streamed features. */
export function streamedView(inspected: Inspected): ViewRow | undefined {
  return inspected.views.find((row) => row.view === `${inspected.entity}_features`)
}

/** Event type -> half-life -> count as stored, without types that the row has no column of. */
export function countsOf(
  values: Record<string, unknown>,
  eventTypes: string[],
  halfLives: string[],
): Record<string, Record<string, number>> {
  const counts: Record<string, Record<string, number>> = {}
  for (const type of eventTypes) {
    const found = halfLives
      .map((halfLife) => [halfLife, values[`${type}_${halfLife}`]] as const)
      .filter((pair): pair is readonly [string, number] => typeof pair[1] === 'number')
    if (found.length) counts[type] = Object.fromEntries(found)
  }
  return counts
}

/** The last events, newest first; empty for an item, whose row keeps none. */
export function recentOf(values: Record<string, unknown>): RecentEvent[] {
  const items = listOf<string>(values.recent_items)
  const types = listOf<string>(values.recent_types)
  const times = listOf<number>(values.recent_us)
  const numbers = listOf<number>(values.recent_values)
  return items
    .map((itemId, n) => ({
      itemId,
      type: types[n] ?? '',
      atMs: (times[n] ?? 0) / 1_000,
      value: numbers[n] ?? 0,
    }))
    .reverse()
}

/** What the row remembers of one event type; `recent` is newest first. */
export function memoryOf(values: Record<string, unknown>, recent: RecentEvent[], type: string): Memory {
  const asOfMs = Number(values.last_event_us ?? 0) / 1_000
  const oldest = recent[recent.length - 1]
  const forgotten = Math.max(Number(values.event_count ?? 0) - recent.length, 0)
  return {
    asOfMs,
    timesMs: recent
      .filter((event) => event.type === type)
      .map((event) => event.atMs)
      .reverse(),
    completeFromMs: forgotten === 0 ? Number.NEGATIVE_INFINITY : (oldest?.atMs ?? asOfMs),
    forgotten,
  }
}

/** The type with the largest count of the longest half-life: what there is most to see of. */
export function busiestType(counts: Record<string, Record<string, number>>): string | null {
  const most = (of: Record<string, number>) => Math.max(...Object.values(of))
  const types = Object.keys(counts)
  return types.reduce<string | null>(
    (best, type) => (best === null || most(counts[type] ?? {}) > most(counts[best] ?? {}) ? type : best),
    null,
  )
}

function listOf<T>(value: unknown): T[] {
  return Array.isArray(value) ? (value as T[]) : []
}
