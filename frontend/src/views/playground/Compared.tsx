import { Text } from '@mantine/core'
import { alike, type Difference } from './difference'
import classes from './playground.module.css'
import type { Setting } from './settings'

interface Props {
  found: Difference | null
  differing: (keyof Setting)[]
}

const NAMES: Partial<Record<keyof Setting, string>> = {
  who: 'who asks',
  context_item: 'similar item',
  max_per_category: 'most per category',
  timeout_ms: 'time limit',
}

/** How two lists differ, in figures and a sentence. */
export function Compared({ found, differing }: Props) {
  const settings = differing.length
    ? `The settings differ in ${differing.map((name) => NAMES[name] ?? name).join(', ')}.`
    : 'Both settings are the same: change one of them and see what moves.'
  return (
    <section className={classes.compared} aria-label="Differences">
      <Text size="sm" aria-live="polite">
        {settings} {found && summary(found)}
      </Text>
      {found && (
        <dl>
          <div>
            <dt>overlap@{found.k}</dt>
            <dd>{found.overlap === null ? '–' : `${Math.round(found.overlap * 100)} %`}</dd>
          </div>
          <div>
            <dt>rank correlation (Kendall’s τ of shared items)</dt>
            <dd>{found.tau === null ? '–' : found.tau.toFixed(2).replace('-', '−')}</dd>
          </div>
        </dl>
      )}
    </section>
  )
}

function summary(found: Difference): string {
  if (alike(found)) return 'The lists are the same.'
  const moved = found.a.filter((move) => move.kind === 'moved').length
  const onlyA = found.a.filter((move) => move.kind === 'only').length
  const onlyB = found.b.filter((move) => move.kind === 'only').length
  return `${moved} moved, ${onlyA} only in A, ${onlyB} only in B.`
}
