import { Skeleton } from '@mantine/core'
import { lazy, Suspense, useEffect, useState } from 'react'
import type { components } from '@/api/schema/console'
import { Asked } from '../Asked'
import { useVitals } from '../queries'
import { Section } from '../Section'
import { extended } from './curves'
import { Health } from './Health'
import { EMPTY, type Traces, tiles } from './tiles'
import { VitalTile } from './VitalTile'
import classes from './vitals.module.css'

type Answer = components['schemas']['VitalsAnswer']

// The chart library is large, and asked for by a click only.
const VitalChart = lazy(() => import('./VitalChart'))

/** How the system is, and how it was for five minutes. */
export function Vitals() {
  const query = useVitals()
  return (
    <Section title="Vitals" lead="Five minutes back, every two seconds. Open one for its chart.">
      <Asked query={query} what="the vitals" height={380}>
        {(answer) => <Shown answer={answer} />}
      </Asked>
    </Section>
  )
}

function Shown({ answer }: { answer: Answer }) {
  const traces = useTraces(answer)
  const [openId, setOpenId] = useState<string | null>(null)
  const until = Date.parse(answer.now)
  const all = tiles(answer.current, answer.series, traces, answer.every_s)
  const open = all.find((tile) => tile.id === openId)
  return (
    <>
      <div className={classes.grid}>
        {all.map((tile) => (
          <VitalTile
            key={tile.id}
            tile={tile}
            until={until}
            open={tile.id === openId}
            onOpen={() => setOpenId(tile.id === openId ? null : tile.id)}
          />
        ))}
      </div>
      <div id="vital-chart">
        {open && (
          <Suspense fallback={<Skeleton height={340} mt="md" radius="md" />}>
            <VitalChart tile={open} until={until} onClose={() => setOpenId(null)} />
          </Suspense>
        )}
      </div>
      <Health vitals={answer.current} />
    </>
  )
}

/** Curves of the figures that the console gives no curve of: what this page has seen. */
function useTraces(answer: Answer): Traces {
  const [traces, setTraces] = useState(EMPTY)
  useEffect(() => {
    const at = Date.parse(answer.now)
    setTraces(({ cache, shed }) => ({
      cache: extended(cache, at, answer.current.cache_hit_rate),
      shed: extended(shed, at, answer.current.shed_total),
    }))
  }, [answer])
  return traces
}
