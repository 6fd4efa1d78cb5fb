import { Tooltip } from '@mantine/core'
import type { Fallback } from '@/api/hooks'
import { kindOf, SOURCES } from './answers'
import classes from './Badges.module.css'

/** Whether a list is personal, or what it is instead; the tooltip says why. */
export function KindBadge({ fallback, known }: { fallback: Fallback | null; known: boolean }) {
  const { label, words, degraded } = kindOf(fallback, known)
  const kind = degraded ? 'degraded' : fallback === null ? 'personal' : 'other'
  return (
    <Tooltip label={`This list is ${words}.`} multiline w={260}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the tooltip is for keyboards too */}
      <span key={kind} className={classes.badge} data-kind={kind} tabIndex={0} aria-description={words}>
        {label}
      </span>
    </Tooltip>
  )
}

/** Where an item of a list came from. */
export function SourceBadge({ source }: { source: string }) {
  return <span style={{ color: 'var(--dim)', fontSize: '0.75rem' }}>{SOURCES[source] ?? source}</span>
}
