import classes from './control.module.css'
import type { State } from './vitals/rules'

const WORDS: Record<State, string> = { good: 'Good', watch: 'Watch', bad: 'Bad', quiet: 'Quiet' }

/** Each state has a shape of its own, so that none is told by colour alone. */
const SHAPES: Record<State, string> = {
  good: 'M3 8.5 6.5 12 13 4.5',
  watch: 'M8 2.5 14.5 13.5H1.5Z M8 6.5V9.5 M8 11.6V11.7',
  bad: 'M3.5 3.5 12.5 12.5 M12.5 3.5 3.5 12.5',
  quiet: 'M3 8H13',
}

/** A state as shape and word. */
export function StateMark({ state, word = WORDS[state] }: { state: State; word?: string }) {
  return (
    <span className={classes.mark} data-state={state}>
      <svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true">
        <path d={SHAPES[state]} />
      </svg>
      {word}
    </span>
  )
}
