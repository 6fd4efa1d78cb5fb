/** What the console says of itself: who may administer, and where the other tools are. */
import { useQuery } from '@tanstack/react-query'
import { ApiError } from '@/api/client'

export interface Link {
  name: string
  url: string | null
  up: boolean
  hint: string
}

export interface Config {
  /** What stands before an admin's acts: nothing, a key, or that no key is set. */
  key: 'open' | 'needed' | 'closed'
  may_administer: boolean
  links: Link[]
}

async function ask(key: string, signal: AbortSignal): Promise<Config> {
  const headers: HeadersInit = key ? { 'X-Api-Key': key } : {}
  const answer = await fetch('/api/console/config', { headers, signal }).catch((error) => {
    throw signal.aborted ? error : new ApiError(0, 'unreachable', 'the console does not answer')
  })
  const said = await answer.json().catch(() => null)
  if (answer.ok && said) return said
  throw new ApiError(
    answer.status,
    said?.error?.code ?? 'unreadable',
    said?.error?.message ?? answer.statusText,
  )
}

/**
 * The console's config as whoever has this key gets it.
 *
 * The key is no part of the cache's name, so that no tool that shows the cache shows it: `turn` stands for it.
 */
export function useConfig(key: string, turn: number) {
  return useQuery({
    queryKey: ['control', 'config', turn],
    queryFn: ({ signal }) => ask(key, signal),
    refetchInterval: 15_000,
    placeholderData: (before) => before,
  })
}
