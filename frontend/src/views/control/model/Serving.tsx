import { Progress, Text } from '@mantine/core'
import { type ReactNode, useEffect, useState } from 'react'
import { Ago } from '@/parts/Ago'
import shared from '../control.module.css'
import { Notice } from '../Notice'
import { percent } from '../numbers'
import classes from './model.module.css'
import { capital, named, progress, type Served, timeLeft } from './trial'

/** The releases in memory: what serves, what is on trial, what it would go back to, and what was turned down. */
export function Serving({ served }: { served: Served }) {
  // One that was turned down may have been promoted again.
  const inUse = [served.registered_version, served.canary?.registered_version]
  const refused = Object.entries(served.refused).filter(([version]) => !inUse.includes(version))
  return (
    <>
      <Troubles served={served} />
      <div className={classes.releases}>
        <Release name="Serves" release={capital(named(served))}>
          {served.model_version ?? 'No model is loaded: lists are popular items.'}
          {served.loaded_at && (
            <>
              {' · since '}
              <Ago at={served.loaded_at} />
            </>
          )}
        </Release>
        {served.canary ? (
          <Trial canary={served.canary} />
        ) : (
          <Release name="On trial (canary)" release="None">
            A promoted version is tried on a share of the users first.
          </Release>
        )}
        <Release name="Way back" release={served.previous ? capital(named(served.previous)) : 'None'}>
          {served.previous
            ? `${served.previous.model_version}, in memory`
            : 'No release before this one is in memory.'}
        </Release>
        <Release name="For experiments and shadows" release={others(served)}>
          {Object.keys(served.aliases).length
            ? 'Loaded beside what serves.'
            : 'Models that only an experiment shows, or that are scored in the shadow.'}
        </Release>
      </div>
      {refused.length > 0 && (
        <ul className={classes.refused} aria-label="Versions that were turned down">
          {refused.map(([version, why]) => (
            <li key={version}>
              <b>Version {version} was turned down:</b> {why}
            </li>
          ))}
        </ul>
      )}
    </>
  )
}

function Troubles({ served: { trouble, untold } }: { served: Served }) {
  return (
    <>
      {trouble && (
        <Notice tone="watch" title="The registry gives the recommender no answer">
          {trouble} What serves goes on.
        </Notice>
      )}
      {untold.length > 0 && (
        <Notice tone="watch" title="The registry does not know yet">
          Version {untold.join(', ')} was left here. The registry is told as soon as it answers.
        </Notice>
      )}
    </>
  )
}

/** `challenger: version 3`, for every alias that experiments want. */
function others({ aliases }: Served): string {
  const told = Object.entries(aliases).map(([alias, version]) => `${capital(alias)}: ${version ?? 'not yet'}`)
  return told.join(', ') || 'None'
}

function Release({ name, release, children }: { name: string; release: string; children: ReactNode }) {
  return (
    <div className={classes.release} data-empty={release === 'None' || undefined}>
      <Text size="xs" c="dimmed">
        {name}
      </Text>
      <Text fw={650} size="lg">
        {release}
      </Text>
      <Text size="xs" component="div" className={shared.soft}>
        {children}
      </Text>
    </div>
  )
}

function Trial({ canary }: { canary: NonNullable<Served['canary']> }) {
  const now = useNow()
  return (
    <Release name="On trial (canary)" release={capital(named(canary))}>
      answers {percent(canary.share, 0)} of the users · {timeLeft(canary.until, now)}
      <Progress
        value={100 * progress(canary, now)}
        size="sm"
        mt={8}
        aria-label="How much of the trial is over"
      />
    </Release>
  )
}

/** The time, four times a second. */
function useNow(): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 250)
    return () => clearInterval(timer)
  }, [])
  return now
}
