/** Typed clients of the three services, all behind this page's own origin. */
import createClient, { type Middleware } from 'openapi-fetch'
import { connection, partAway } from './connection'
import { adminKey } from './key'
import type { paths as ConsolePaths } from './schema/console'
import type { paths as IngestPaths } from './schema/ingest'
import type { paths as RecommenderPaths } from './schema/recommender'

/** What a service said instead of an answer, or that it said nothing (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: unknown = null,
  ) {
    super(message)
    this.name = 'ApiError'
  }

  /** Whether trying again may help by itself: the service is away, or asks for patience. */
  get passing(): boolean {
    return (
      this.status === 0 ||
      this.status === 429 ||
      this.status === 502 ||
      this.status === 503 ||
      this.status === 504
    )
  }

  /** Whether it is for the administrator only. */
  get forbidden(): boolean {
    return this.status === 401 || this.status === 403
  }
}

/** How often to ask again, in ms, for useQuery: not at all once it was said that only the administrator may. */
export function every(ms: number) {
  return ({ state }: { state: { error: Error | null } }): number | false =>
    state.error instanceof ApiError && state.error.forbidden ? false : ms
}

/** Shows the administrator's key, where somebody has typed it. */
const withKey: Middleware = {
  onRequest({ request }) {
    const { key } = adminKey.current()
    if (key) request.headers.set('X-Api-Key', key)
  },
}

/** An ApiError for every answer that is none, and for a network that gives none. */
function throwing(service: string): Middleware {
  function told(error: ApiError, path: string): ApiError {
    const part = partAway(service, error.status, error.code, path)
    if (part) connection.lost(part, error.message)
    return error
  }
  return {
    async onResponse({ response, schemaPath }) {
      if (response.ok) return
      const body = await response.json().catch(() => null)
      const error = body?.error ?? {}
      throw told(
        new ApiError(
          response.status,
          error.code ?? 'unreadable',
          error.message ?? response.statusText,
          error.details ?? null,
        ),
        schemaPath,
      )
    },
    onError({ error, schemaPath }) {
      if (error instanceof DOMException && error.name === 'AbortError') return
      if (error instanceof ApiError) return
      return told(new ApiError(0, 'unreachable', 'the page’s own server does not answer'), schemaPath)
    },
  }
}

function client<Paths extends object>(service: string) {
  const made = createClient<Paths>({
    baseUrl: `${window.location.origin}/api/${service}`,
    querySerializer: { array: { style: 'form', explode: false } },
  })
  made.use(withKey, throwing(service))
  return made
}

export const ingest = client<IngestPaths>('ingest')
export const recommender = client<RecommenderPaths>('recommender')
export const controls = client<ConsolePaths>('console')

/** The body of an answer. Throws ApiError (the middleware has, wherever there is none). */
export async function body<T>(answer: Promise<{ data?: T }>): Promise<T> {
  return (await answer).data as T
}
