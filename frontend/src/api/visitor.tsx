import { createContext, type ReactNode, useContext, useMemo, useState } from 'react'

const KEPT = 'freshet-visitor'

interface Visitor {
  userId: string
  /** Whether the page made this user up: nothing is known of it but what is done here. */
  made: boolean
  choose: (userId: string) => void
  /** Become a user that nobody has seen before. */
  renew: () => void
}

const Context = createContext<Visitor | null>(null)

/** An id that no one has: `visitor-` and eight hexadecimal digits. */
export function freshId(): string {
  const digits = crypto.getRandomValues(new Uint32Array(1))[0] as number
  return `visitor-${digits.toString(16).padStart(8, '0')}`
}

/** Who looks at the page: kept for this tab, a new visitor at first. */
export function VisitorProvider({ children }: { children: ReactNode }) {
  const [userId, setUserId] = useState(() => {
    const kept = sessionStorage.getItem(KEPT) ?? freshId()
    sessionStorage.setItem(KEPT, kept)
    return kept
  })
  const value = useMemo(() => {
    const choose = (id: string) => {
      sessionStorage.setItem(KEPT, id)
      setUserId(id)
    }
    return { userId, made: userId.startsWith('visitor-'), choose, renew: () => choose(freshId()) }
  }, [userId])
  return <Context value={value}>{children}</Context>
}

/** The current user, and how to change it. */
export function useVisitor(): Visitor {
  const visitor = useContext(Context)
  if (!visitor) throw new Error('useVisitor needs a VisitorProvider above')
  return visitor
}
