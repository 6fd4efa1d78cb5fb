/**
 * Who of the parts behind the page is away, as the page's own requests find out.
 *
 * A part that failed to answer is asked again, ever more slowly, until it answers; then `recovered` is told.
 */

export type Part = 'page' | 'ingest' | 'recommender' | 'log' | 'store'

export interface Away {
  part: Part
  /** What was said instead of an answer. */
  message: string
  /** When it was first found away, in ms since the epoch. */
  since: number
}

/** A path that answers 2xx exactly when the part is back. */
export const PROBES: Record<Part, string> = {
  page: '/api/console/health',
  ingest: '/api/ingest/health',
  recommender: '/api/recommender/health',
  log: '/api/ingest/ready',
  store: '/api/console/items?ids=-',
}

/** What the console answers out of PostgreSQL; all else that may be 503 comes out of the feature store. */
const OF_DATABASE = ['/drift']

/**
 * The part that an error is about, or null when it is not about one that is away.
 *
 * @param path the service's own, without parameters.
 */
export function partAway(service: string, status: number, code: string, path = ''): Part | null {
  if (status === 0) return 'page'
  if (code === 'unreachable' && (service === 'ingest' || service === 'recommender')) return service
  if (status === 502 || status === 504)
    return service === 'ingest' || service === 'recommender' ? service : 'page'
  if (status !== 503) return null
  if (service === 'ingest') return 'log'
  if (service === 'console') return OF_DATABASE.includes(path) ? null : 'store'
  return null
}

/** Milliseconds until the next try, after so many: 0.5 s, doubled, at most 4 s. */
export function patience(tries: number): number {
  return Math.min(500 * 2 ** tries, 4_000)
}

type Probe = (path: string) => Promise<boolean>

/** The parts that are away, and the tries to find them again. */
export class Connection {
  private away = new Map<Part, Away>()
  private snapshot: readonly Away[] = []
  private listeners = new Set<() => void>()
  private recoveries = new Set<(part: Part) => void>()

  constructor(private readonly probe: Probe) {}

  /** For useSyncExternalStore. */
  subscribe = (listener: () => void) => {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  /** Those that are away now, the earliest first; the same array until something changes. */
  current = () => this.snapshot

  /** Call `listener` whenever a part is back. Gives the function that ends it. */
  onRecovery(listener: (part: Part) => void) {
    this.recoveries.add(listener)
    return () => void this.recoveries.delete(listener)
  }

  /** A request failed because of this part. */
  lost(part: Part, message: string) {
    if (this.away.has(part)) return
    this.away.set(part, { part, message, since: Date.now() })
    this.changed()
    this.tryLater(part, 0)
  }

  private tryLater(part: Part, tries: number) {
    setTimeout(async () => {
      if (await this.probe(PROBES[part])) this.found(part)
      else this.tryLater(part, tries + 1)
    }, patience(tries))
  }

  private found(part: Part) {
    this.away.delete(part)
    this.changed()
    for (const listener of this.recoveries) listener(part)
  }

  private changed() {
    this.snapshot = [...this.away.values()]
    for (const listener of this.listeners) listener()
  }
}

export const connection = new Connection(async (path) => {
  try {
    return (await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(3_000) })).ok
  } catch {
    return false
  }
})
