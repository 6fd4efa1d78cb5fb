import { useSyncExternalStore } from 'react'
import { connection } from './connection'
import { useUp } from './hooks'

/** Whether the feature store gives no answer, as far as anybody has noticed. */
export function useStoreAway(): boolean {
  const away = useSyncExternalStore(connection.subscribe, connection.current)
  const up = useUp()
  return up.redis === false || away.some(({ part }) => part === 'store')
}
