import { createContext, type ReactNode, useCallback, useContext, useState } from 'react'

const Context = createContext<(words: string) => void>(() => {})

/** Holds the one live region of the page. */
export function Announcer({ children }: { children: ReactNode }) {
  const [said, setSaid] = useState({ words: '', turn: 0 })
  const announce = useCallback((words: string) => setSaid(({ turn }) => ({ words, turn: turn + 1 })), [])
  return (
    <Context value={announce}>
      {children}
      <div className="hidden-visually" role="status" aria-live="polite">
        {/* A new element each time: the same words twice are said twice. */}
        <span key={said.turn}>{said.words}</span>
      </div>
    </Context>
  )
}

/** Gives the function that says something to those who listen to the page instead of looking at it. */
export function useAnnounce(): (words: string) => void {
  return useContext(Context)
}
