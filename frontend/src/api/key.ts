/** The administrator's key: in the memory of this page until it is left or loaded anew, and nowhere else. */
import { useSyncExternalStore } from 'react'

interface Held {
  /** As it was typed; empty: none. */
  readonly key: string
  /** Grows with every change. Stands for the key in the names of answers, so that no tool that shows them shows it. */
  readonly turn: number
}

let held: Held = { key: '', turn: 0 }
const listeners = new Set<() => void>()

export const adminKey = {
  current: () => held,
  set(key: string) {
    held = { key, turn: held.turn + 1 }
    for (const listener of listeners) listener()
  },
  /** For useSyncExternalStore. */
  subscribe(listener: () => void) {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  },
}

export function useKey(): Held {
  return useSyncExternalStore(adminKey.subscribe, adminKey.current)
}
