import { createContext, type ReactNode, useContext, useMemo, useState } from 'react'

interface AdminKey {
  /** As it was typed; empty: none. */
  key: string
  /** Grows with every change. Stands for the key in the names of answers, so that no tool that shows them shows it. */
  turn: number
  setKey: (key: string) => void
}

const Context = createContext<AdminKey | null>(null)

/** Holds the administrator's key while the control room is open: in memory, and nowhere else. */
export function KeyProvider({ children }: { children: ReactNode }) {
  const [held, setHeld] = useState({ key: '', turn: 0 })
  const value = useMemo(
    () => ({ ...held, setKey: (key: string) => setHeld(({ turn }) => ({ key, turn: turn + 1 })) }),
    [held],
  )
  return <Context value={value}>{children}</Context>
}

export function useKey(): AdminKey {
  const held = useContext(Context)
  if (!held) throw new Error('useKey needs a KeyProvider above')
  return held
}

/** The key as services want it. */
export function keyHeaders(key: string): Record<string, string> {
  return key ? { 'X-Api-Key': key } : {}
}
