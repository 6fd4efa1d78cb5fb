/** What is wrong behind the page, in words for the banner. */
import type { Part } from '@/api/connection'

export interface Trouble {
  title: string
  words: string
}

const AWAY: Record<Part | 'stream', Trouble> = {
  page: {
    title: 'The page’s own server is away',
    words: 'Nothing can be asked or sent until it is back.',
  },
  ingest: {
    title: 'The ingest service is away',
    words: 'Acts are not taken; lists still come.',
  },
  recommender: {
    title: 'The recommender is away',
    words: 'No new lists; acts are still taken and will count.',
  },
  log: {
    title: 'The event log (Kafka) is away',
    words: 'Acts are not taken until it acknowledges them again; nothing that was accepted is lost.',
  },
  stream: {
    title: 'The stream is away',
    words: 'Acts are taken, but become features only when it is back.',
  },
  store: {
    title: 'The feature store (Redis) is away',
    words: 'Lists come from what the recommender remembers, or from what is popular.',
  },
}

/** In the order in which they are told, by the names that the vitals have for them. */
const ORDER = [
  ['ingest', 'ingest'],
  ['recommender', 'recommender'],
  ['log', 'kafka'],
  ['store', 'redis'],
  ['stream', 'stream'],
] as const

/**
 * All that is wrong, worst first.
 *
 * @param away parts that gave this page no answer.
 * @param up what the console sees of services and of what they stand on; true: up.
 */
export function troubles(away: readonly Part[], up: Readonly<Record<string, boolean>>): Trouble[] {
  if (away.includes('page')) return [AWAY.page]
  const parts = new Set<string>(away)
  for (const [part, name] of ORDER) if (up[name] === false) parts.add(part)
  // Without ingest nobody can tell of the log.
  if (parts.has('ingest')) parts.delete('log')
  return ORDER.filter(([part]) => parts.has(part)).map(([part]) => AWAY[part])
}
